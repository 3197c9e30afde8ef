"""`heapline replay`: a workspace's events, sent once more."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.output import print_json
from cli.plain_text import columns, printable
from cli.time_option import SINCE_HELP, time_option
from consumers.forwarder.gate import Gate
from heapline.clock import SystemClock
from heapline.kafka.topics import Names
from heapline.outcomes import SkipReason
from heapline.settings import load_settings
from heapline.words import Workspace
from operations.replay import Wanted, connection_now, replay_events
from operations.resend import TransactionalResender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from operations.replay import Replay

_err = Console(stderr=True, soft_wrap=True, highlight=False)


def replay(
    workspace: Annotated[
        str | None,
        typer.Argument(metavar="WORKSPACE", help="Whose events. Default: $HEAPLINE_WORKSPACE."),
    ] = None,
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help=f"Events published since then. {SINCE_HELP}")
    ],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Events published before then.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only events named so. Repeatable.")
    ] = None,
    all_partitions: Annotated[
        bool,
        typer.Option(
            "--all-partitions",
            help="Look in every partition, for producers that do not partition as Java does.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; needs --yes.")] = False,
) -> None:
    """Send a workspace's events again, for example those skipped while Send was off.

    Takes events that the forwarder has passed by; it reads the later ones anyway. What the gate
    would skip now is left out and counted. The events wait in the deferred topic for a running
    forwarder. Each keeps its event id, which is Heap's idempotency key, and for Heap the first
    write wins: what it has already is not counted twice, so a replay may be repeated.
    """
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("goes with --yes or --dry-run", param_hint="--json")
    settings = load_settings()
    whose = workspace or settings.workspace
    if not whose:
        raise typer.BadParameter("name one, or set HEAPLINE_WORKSPACE", param_hint="WORKSPACE")
    clock = SystemClock()
    now_ms = clock.epoch_ms()
    wanted = Wanted(
        Workspace(whose),
        time_option(since, "--since", now_ms) or 0,
        time_option(until, "--until", now_ms),
        tuple(name or ()),
        all_partitions=all_partitions,
    )
    names = Names(settings.kafka.prefix)
    judge = Gate(connection_now(settings, names, wanted.workspace, clock)).judge

    def pass_over(resender: TransactionalResender | None) -> Replay:
        with _progress() as heard:
            return replay_events(
                settings, names, wanted, judge, resender=resender, now_ms=now_ms, progress=heard
            )

    if dry_run or not yes:
        found = pass_over(None)
        _print(found, wanted.workspace, as_json=as_json)
        if dry_run or not found.eligible:
            return
        typer.confirm(f"Send {found.eligible.total():,} events again?", abort=True, err=True)
    done = pass_over(TransactionalResender(settings, names))
    _print_done(done, wanted.workspace, as_json=as_json, briefly=not yes)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show how many events were chosen so far, on a terminal."""
    spinning = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.completed:,.0f} events"),
        TimeElapsedColumn(),
    )
    with Progress(*spinning, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("replay", total=None)
        yield lambda chosen: bar.update(task, completed=chosen)


def _print_done(done: Replay, workspace: Workspace, *, as_json: bool, briefly: bool) -> None:
    if as_json or not briefly:
        _print(done, workspace, as_json=as_json)
    if not as_json:
        print(f"{done.sent:,} events written to the deferred topic; a running forwarder sends them")


def _print(found: Replay, workspace: Workspace, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(found, workspace))
        return
    print(f"{found.eligible.total():,} events to send")
    for line in _counted(found.eligible):
        print(f"  {line}")
    if found.skipped:
        print(f"{found.skipped.total():,} events the gate would skip now, left out")
        for line in _counted(Counter({str(k): v for k, v in found.skipped.items()})):
            print(f"  {line}")
        for hint in _hints(found, workspace):
            print(hint)
    if found.undecodable:
        print(f"{found.undecodable:,} records are no events: see `heapline dlq list`")


def _counted(counts: Counter[str]) -> Iterator[str]:
    rows = [(f"{count:,}", printable(name, 80)) for name, count in counts.most_common()]
    return columns(rows) if rows else iter(())


def _hints(found: Replay, workspace: Workspace) -> Iterator[str]:
    """Give the command that would change it, for what one command changes."""
    whose = printable(workspace)
    if SkipReason.NOT_CONNECTED in found.skipped:
        yield f"to connect: heapline connections set {whose} --app-id … --region us|eu --send on"
    if SkipReason.SEND_OFF in found.skipped:
        yield f"to switch Send on: heapline connections set {whose} --send on"


def _as_json(found: Replay, workspace: Workspace) -> dict[str, Any]:
    return {
        "workspace": workspace,
        "eligible": dict(found.eligible),
        "skipped": {str(reason): count for reason, count in found.skipped.items()},
        "undecodable": found.undecodable,
        "sent": found.sent,
    }
