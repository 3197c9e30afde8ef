"""`heapline dev heap-sync`: let the simulated Heap send a segment to the webhook."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads it when the command is made
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import ExitCode, print_json, tell
from devstack.heap_simulator import SimulatorClient, SyncOptions
from devstack.stack import Stack
from heapline.errors import CallerMistake
from heapline.settings import load_settings

if TYPE_CHECKING:
    from devstack.heap_simulator.partner_client import Sent

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")


class Order(StrEnum):
    """In which order pages are sent."""

    IN_ORDER = "in_order"
    REVERSED = "reversed"
    SHUFFLED = "shuffled"


def heap_sync(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="Heap's id of the segment.")],
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Recurring sync: now, and so often. Heap: 4h."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What Heap calls the segment.")] = None,
    users: Annotated[
        int | None,
        typer.Option(min=0, help="First let exactly user-0, user-1 … be in: so many."),
    ] = None,
    first_user: Annotated[int, typer.Option(min=0, help="Number of the first of --users.")] = 0,
    users_file: Annotated[
        Path | None, typer.Option(help="First let exactly these users be in: one id a line.")
    ] = None,
    user_id_property: Annotated[
        str | None, typer.Option(help="Which property of Heap's users is sent as the id.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Heap environment. Default: the one that was allowed.")
    ] = None,
    page_size: Annotated[int, typer.Option(min=1, help="Users a page.")] = 1_000,
    order: Annotated[Order, typer.Option(help="Of the pages.")] = Order.IN_ORDER,
    duplicates: Annotated[int, typer.Option(min=0, help="Send each page so many times more.")] = 0,
    hold: Annotated[
        list[int] | None,
        typer.Option(metavar="PAGE", help="Keep back this page until --late. May be repeated."),
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where Heap sends segments, from now on.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="See `heapline dev up`.")
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Sync now, once (the default).")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Turn the segment's toggle off.")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="Send that everybody is out.")] = False,
    late: Annotated[
        bool, typer.Option("--late", help="Send pages kept back, or that nobody took.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let the simulated Heap send a segment to heapline's webhook, as after *Confirm* in Heap.

    Sends what changed since the segment's last sync, signed, each page until it is answered 200.
    Exit code 3: some pages were not taken; --late sends them again.
    """
    if sum((once, every is not None, stop, drain, late)) > 1:
        raise typer.BadParameter("say one of --once, --every, --stop, --drain and --late")
    every_seconds = None if every is None else seconds_of(every)
    heap = SimulatorClient(simulator_url(data))
    if webhook_url is not None:
        heap.change_partner_app(webhook_url=webhook_url)
    env_id = environment or _environment(heap)
    named = {"name": name, "user_id_property": user_id_property}
    settings = {key: value for key, value in named.items() if value is not None}
    heap.set_segment(env_id, segment, enabled=not stop, **settings)
    _fill(heap, env_id, segment, users, first_user, users_file)
    if stop:
        tell(f"Heap (simulated) does not sync segment {segment} any more.")
        return
    options = SyncOptions(
        page_size=page_size,
        order=order.value,
        duplicates=duplicates,
        hold_pages=frozenset(hold or ()),
    )
    send = heap.drain if drain else heap.send_late if late else heap.sync
    sent = send(env_id, segment, options)
    if every_seconds is not None:
        heap.set_segment(
            env_id, segment, every_seconds=every_seconds, starts_in_seconds=every_seconds
        )
    elif once:
        heap.set_segment(env_id, segment, every_seconds=None)
    _print(sent, segment, every, as_json=as_json)
    if sent.undelivered:
        raise typer.Exit(ExitCode.SET_ASIDE)


def seconds_of(text: str) -> float:
    """Read a duration such as 4h, 30m or 10s.

    Raises:
        typer.BadParameter: it is none.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNIT_SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise typer.BadParameter(
            f"{text!r} is not a duration; write 4h, 30m or 10s", param_hint="--every"
        )
    return seconds


def simulator_url(data: Path | None) -> str:
    """Find the running simulator: of this world, else the one that the settings name.

    Raises:
        CallerMistake: none runs.
    """
    settings = load_settings()
    world = Stack(data or settings.dev.data).running_world()
    url = world.heap_url if world is not None else settings.heap.api_url
    if url is None or not SimulatorClient(url).is_healthy():
        raise CallerMistake("no Heap simulator is running: run `heapline dev up` first")
    return url


def _environment(heap: SimulatorClient) -> str:
    allowed = list(heap.grants())
    if len(allowed) == 1:
        return allowed[0]
    if not allowed:
        raise CallerMistake(
            "nobody has allowed heapline to see segments yet: run "
            "`heapline connections invite WORKSPACE`, open the link and click Allow"
        )
    raise CallerMistake(f"say which --environment; allowed are {', '.join(sorted(allowed))}")


def _fill(
    heap: SimulatorClient,
    env_id: str,
    segment: str,
    users: int | None,
    first_user: int,
    users_file: Path | None,
) -> None:
    if users is not None:
        heap.number_members(env_id, segment, users, first=first_user)
    if users_file is not None:
        lines = users_file.read_text(encoding="utf-8").splitlines()
        heap.set_members(env_id, segment, [each for line in lines if (each := line.strip())])


def _print(sent: Sent, segment: str, every: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(sent)
        return
    answers = ", ".join(f"{count} answered {status}" for status, count in sent.by_status.items())
    print(
        f"segment {segment}: {sent.delivered} of {sent.pages} pages taken "
        f"in {sent.seconds:.1f} s ({answers or 'nothing to send'})"
    )
    if sent.undelivered:
        tell(f"{sent.undelivered} pages were not taken: mend it, then send them with --late.")
    if every is not None:
        tell(f"Heap (simulated) syncs it again every {every}, until --stop.")
