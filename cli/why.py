"""`heapline why`: why is my event not in Heap?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from cli.output import ExitCode, print_json, tell
from cli.plain_text import printable
from cli.time_option import SINCE_HELP, time_option
from heapline.clock import SystemClock
from heapline.kafka.topics import Names
from heapline.settings import load_settings
from heapline.words import Workspace
from operations.times import write_time
from operations.why import Search, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from operations.why import Found

_err = Console(stderr=True, soft_wrap=True, highlight=False)


def why(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Heap's idempotency key.")],
    *,
    workspace: Annotated[
        str | None, typer.Option(help="Whose event. Default: $HEAPLINE_WORKSPACE.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Published since then: looks at less. {SINCE_HELP}"),
    ] = None,
    all_partitions: Annotated[
        bool,
        typer.Option(
            "--all-partitions",
            help="Look in every partition, for producers that do not partition as Java does.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what became of an event: delivered, waiting, skipped or dead-lettered, and why.

    Reads the topics, the forwarders' offsets and the workspace's settings; there is no ledger.
    Where settings have changed since, it says so rather than guess. Exit code 1: not found.
    """
    settings = load_settings()
    whose = workspace or settings.workspace
    if not whose:
        raise typer.BadParameter("name one, or set HEAPLINE_WORKSPACE", param_hint="--workspace")
    clock = SystemClock()
    wanted = Wanted(
        event_id,
        Workspace(whose),
        time_option(since, "--since", clock.epoch_ms()),
        all_partitions,
    )
    with _progress() as heard:
        found = Search(settings, Names(settings.kafka.prefix), wanted, clock, heard).found()
    if as_json:
        print_json({"event_id": event_id, "workspace": whose, "records": list(map(_plain, found))})
    else:
        for each in found:
            _print(each)
    if not found:
        _tell_not_found(event_id, whose, since)
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    shown = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records looked at"))
    with Progress(*shown, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("why", total=None)
        yield lambda looked_at: bar.update(task, completed=looked_at)


def _plain(each: Found) -> dict[str, object]:
    return {
        "origin": str(each.origin),
        "published_at_ms": each.published_at_ms,
        "name": each.name,
        **asdict(each.explanation),
    }


def _print(each: Found) -> None:
    said = each.explanation
    name = f"{printable(each.name, 80)}, " if each.name else ""
    when = write_time(each.published_at_ms) or "before what the topic still holds"
    reason = f" ({said.reason})" if said.reason else ""
    print(f"{said.verdict.replace('_', '-')}{reason}: {printable(said.because)}")
    print(f"  {name}published {when}, {each.origin}")
    if said.changed:
        print(f"  {printable(said.changed)}")
    if said.to_change_it:
        print(f"  to change or see it: {printable(said.to_change_it)}")


def _tell_not_found(event_id: str, workspace: str, since: str | None) -> None:
    place = f"of workspace {printable(workspace)}"
    span = f"since {since}" if since else "in what the topics still hold (events: 7 days)"
    tell(f"heapline: there is no event {printable(event_id)} {place} {span}.")
    tell(
        "Was it published, and with this event_id? Records that are no events have none: see "
        "`heapline dlq list --reason undecodable`. Another partitioner: --all-partitions."
    )
