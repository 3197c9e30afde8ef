"""`heapline status`: how the forwarders are, live in a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import print_json
from cli.plain_text import columns, printable
from heapline.clock import SystemClock
from heapline.kafka.topics import Names
from heapline.settings import load_settings
from operations.status import Observer
from operations.times import write_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.forwarder.status import ForwarderStatus
    from operations.lag import WorkspaceLag
    from operations.status import Status

_MOST_LINES: Final = 25
_BLOCKED_AFTER_MS: Final = 2_000
"""A record younger than that blocks nobody: its answer is under way."""
_MIB: Final = 2**20
_TOLD_APART: Final = ("rate_limited_after_takeover", "rate_limited_in_rate")
"""Of the requests that were rate limited, told once more."""


def status(
    *,
    workspace: Annotated[
        str | None, typer.Option(help="Only this one's. Default: $HEAPLINE_WORKSPACE, else all.")
    ] = None,
    every: Annotated[
        float, typer.Option(min=0.5, metavar="SECONDS", help="How often to look, on a terminal.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, also on a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
) -> None:
    """Show what waits for Heap, how long it takes, what is paused, and what blocks a checkpoint.

    Lag is counted in the topics; the rest the running forwarders say themselves every two seconds.
    On a terminal the view stays and refreshes until Ctrl-C.
    """
    settings = load_settings()
    whose = workspace or settings.workspace
    with Observer(settings, Names(settings.kafka.prefix)) as observer:
        if as_json:
            print_json(_as_json(observer.look(), whose))
        elif once or not sys.stdout.isatty():
            for line in lines(observer.look(), whose):
                print(line)
        else:
            _live(observer, whose, every)


def _live(observer: Observer, whose: str | None, every: float) -> None:
    from rich.live import Live  # noqa: PLC0415 -- only on a terminal
    from rich.text import Text  # noqa: PLC0415 -- as above

    from heapline.errors import TryAgainLater  # noqa: PLC0415 -- as above

    clock = SystemClock()
    with Live(Text("looking…"), screen=True, auto_refresh=False) as view:
        while True:
            try:
                text = Text("\n".join(lines(observer.look(), whose)))
            except TryAgainLater as error:
                text = Text(f"{error}\n(tried again)")
            text.highlight_words(["paused", "backing off", "silent", "LOST"], "bold red")
            text.highlight_regex(r"^[A-Z][A-Z ]+$", "bold")
            view.update(text, refresh=True)
            clock.sleep(every)


def lines(found: Status, whose: str | None = None) -> Iterator[str]:
    """Give the view, line by line; nothing in it can steer the terminal."""
    yield from _head(found)
    yield ""
    shown = [each for each in found.workspaces if whose in {None, each.workspace}]
    yield from _workspaces(shown, found)
    waiting = [b for b in found.blocked if found.at_ms - b.blocker.since_ms >= _BLOCKED_AFTER_MS]
    if waiting:
        yield ""
        yield "CHECKPOINTS THAT WAIT FOR A RECORD"
        rows = [("PARTITION", "OFFSET", "SINCE", "WORKSPACE", "BECAUSE")]
        rows += [
            (
                each.partition,
                str(each.blocker.offset),
                f"{duration((found.at_ms - each.blocker.since_ms) / 1000)} ago",
                printable(each.blocker.workspace, 40),
                each.blocker.why,
            )
            for each in waiting[:_MOST_LINES]
        ]
        yield from columns(rows)


def _head(found: Status) -> Iterator[str]:
    requests: Counter[str] = Counter()
    for each in found.forwarders:
        requests.update(each.requests)
    paused = sum(each.state == "paused" for each in found.workspaces)
    deferred = sum(each.deferred for each in found.workspaces)
    least = "" if found.complete else "at least "
    yield (
        f"{len(found.forwarders)} forwarder{'s' * (len(found.forwarders) != 1)} running, "
        f"{found.events_lag:,} events not checkpointed, {least}{deferred:,} deferred, "
        f"{paused} workspace{'s' * (paused != 1)} paused"
    )
    if not found.forwarders:
        yield "no forwarder runs: start one with `heapline forward`"
    elif found.unowned:
        yield f"partitions without a forwarder: {', '.join(map(str, found.unowned))}"
    for each in found.silent:
        seen = write_time(each.at_ms)
        yield f"forwarder {printable(each.instance_id)} is silent since {seen}: killed or cut off"
    if requests:
        yield from _so_far(requests, found)
    if found.forwarders:
        yield ""
        yield from columns([_FORWARDER_TITLES, *map(_forwarder, found.forwarders)])


def _so_far(requests: Counter[str], found: Status) -> Iterator[str]:
    yield f"requests to Heap since the forwarders started: {_counts(requests)}"
    events = sum(each.request_events for each in found.forwarders)
    sent = sum(count for verdict, count in requests.items() if verdict not in _TOLD_APART)
    retried = sum(each.retried_events for each in found.forwarders)
    if events:
        average = events / max(1, sent)
        yield f"events a request: {average:,.0f}; in requests Heap did not take: {retried:,}"
    outcomes: Counter[str] = Counter()
    for each in found.forwarders:
        outcomes.update(each.outcomes)
    if outcomes:
        yield f"records checkpointed since then: {_counts(outcomes)}"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


_FORWARDER_TITLES: Final = ("FORWARDER", "PARTITIONS", "IN FLIGHT", "MEMORY", "CHECKPOINTS")


def _forwarder(each: ForwarderStatus) -> tuple[str, ...]:
    failures = each.checkpoint_failures
    owned = len({partition.number for partition in each.partitions})
    return (
        printable(each.instance_id, 40),
        str(owned),
        f"{each.in_flight} requests",
        f"{each.held_bytes / _MIB:.0f} of {each.memory_bytes / _MIB:.0f} MiB",
        f"delayed, {failures} failures" if failures else "well",
    )


def _workspaces(shown: list[WorkspaceLag], found: Status) -> Iterator[str]:
    if not shown:
        yield "nothing waits"
        return
    least = "" if found.complete else "≥ "
    titles = ("WORKSPACE", "STATE", "WAITING", "DEFERRED", "UNTIL DRAINED", "BUDGET", "NEXT TRY")
    rows = [
        (
            printable(each.workspace, 40) or "(no key)",
            _state(each),
            f"{least}{each.waiting:,}",
            f"{least}{each.deferred:,}",
            "-" if each.drain_seconds is None else least + duration(each.drain_seconds),
            f"{each.budget_share:.0%}",
            _next_try(each, found.at_ms),
        )
        for each in shown[:_MOST_LINES]
    ]
    yield from columns([titles, *rows])
    more = len(shown) - _MOST_LINES + sum(each.more_workspaces for each in found.forwarders)
    if more > 0:
        yield f"... and {more:,} more"


def _state(each: WorkspaceLag) -> str:
    words = each.state.replace("_", " ")
    return f"{words} ({each.reason})" if each.reason else words


def _next_try(each: WorkspaceLag, now_ms: int) -> str:
    if not each.next_try_ms:
        return ""
    return f"in {duration(max(0, each.next_try_ms - now_ms) / 1000)}"


def duration(seconds: float) -> str:
    """Write a duration for people: 4 s, 2 min, 3 h 20 min."""
    if seconds < 60:  # noqa: PLR2004 -- a minute
        return f"{seconds:.0f} s"
    whole = timedelta(seconds=round(seconds))
    hours, minutes = divmod(int(whole.total_seconds()) // 60, 60)
    if hours >= 24:  # noqa: PLR2004 -- a day
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _as_json(found: Status, whose: str | None) -> dict[str, object]:
    plain = asdict(found)
    if whose is not None:
        plain["workspaces"] = [w for w in plain["workspaces"] if w["workspace"] == whose]
    return plain
