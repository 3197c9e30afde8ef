"""The demo's result as a person reads it."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

from devstack.demo.cast import DUNE, EMBER, RIGHT_APP_ID_OF_DUNE
from devstack.demo.place import RAISED
from heapline.outcomes import DeadLetterReason, DeferReason, SkipReason
from heapline.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from devstack.demo.verdict import Verdict

_WHY: Final[dict[str, str]] = {
    SkipReason.NOT_CONNECTED: "not connected",
    SkipReason.DISCONNECTED: "disconnected",
    SkipReason.SEND_OFF: "Send is off",
    SkipReason.FILTERED: "left out by its filters",
    SkipReason.NOT_SENT_BY_DEFAULT: "raw browsing or typing",
    SkipReason.PREVIEW: "preview in the editor",
    SkipReason.SIMULATED: "simulate mode",
    SkipReason.ADMIN: "the customer's own staff",
    SkipReason.ANONYMOUS: "no user id",
    SkipReason.ERASED: "the user was erased",
    DeadLetterReason.REJECTED_BY_HEAP: "Heap answers 400 to it",
    DeadLetterReason.UNDECODABLE: "not an Avro record",
    DeferReason.PAUSED_UNAUTHORIZED: "Heap refuses the app id",
}
"""The reasons a demo meets, in few words."""


def number_table(verdict: Verdict) -> Table:
    """Give a column for each workspace and one for all of them.

    Read downwards: what is published is delivered, skipped, dead-lettered, deferred or waiting.
    """
    accounts = [row.account for row in verdict.rows]
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("events", no_wrap=True)
    for account in accounts:
        table.add_column(account.workspace or "(none)", justify="right", no_wrap=True, min_width=6)
    table.add_column("all", justify="right", no_wrap=True, min_width=6)

    def line(title: str, numbers: Sequence[int], style: str = "") -> None:
        table.add_row(title, *_cells(numbers, blank=title.startswith(" ")), style=style)

    line("published", [each.published for each in accounts])
    line("delivered", [each.delivered for each in accounts])
    line("skipped", [sum(each.skipped.values()) for each in accounts])
    for title, numbers in _by_reason([each.skipped for each in accounts]):
        line(title, numbers, "dim")
    line("dead-lettered", [sum(each.dead_lettered.values()) for each in accounts])
    for title, numbers in _by_reason([each.dead_lettered for each in accounts]):
        line(title, numbers, "dim")
    line("deferred", [each.deferred for each in accounts])
    for title, numbers in _by_reason([each.deferred_for for each in accounts]):
        line(title, numbers, "dim")
    line("waiting", [each.waiting for each in accounts])
    line("lost", [each.lost for each in accounts], "bold red" if verdict.lost else "bold green")
    table.add_section()
    line("requests to Heap", [row.requests for row in verdict.rows])
    return table


def member_lines(verdict: Verdict) -> list[str]:
    """Say what each workspace is there for."""
    return [f"  {row.account.workspace:<8} {row.shows}" for row in verdict.rows if row.shows]


def limits_line() -> str:
    """Say that the demo's limits are not Heap's."""
    usual = LimitSettings().events_per_minute_per_app
    return (
        f"Heap's limits are raised {RAISED} times here, so that this takes seconds: "
        f"{usual:,} events a minute and app became {usual * RAISED:,}."
    )


@dataclass(frozen=True, slots=True)
class Running:
    """Where a demo's programs are."""

    console: str
    heap: str


def next_lines(verdict: Verdict, where: Running, kept_in: Path | None, seed: int) -> list[str]:
    """Say where to look next; with a world that was left running, what to try on it."""
    if kept_in is None:
        again = "heapline demo --keep" + ("" if verdict.ok else f" --seed {seed}")
        return [
            f"  {again:<25} the same, left running, with its console to look around in",
            f"  {'heapline demo --json':<25} the same numbers, for scripts",
            f"  {'heapline --help':<25} all commands, in the order a newcomer meets them",
            f"  {'docs/publishing.md':<25} how a service of yours publishes events",
            f"  {'docs/mapping.md':<25} what Heap gets of an event",
        ]
    data = shlex.quote(str(kept_in))
    mend = f"heapline connections set {DUNE.workspace} --app-id {RIGHT_APP_ID_OF_DUNE}"
    return [
        f"  {where.console}  # the console: delivery, dead letters, segments, audiences",
        f'  eval "$(heapline dev env --data {data})"  # first, in this shell',
        "  heapline connections list",
        "  heapline dlq list",
        f"  heapline connections set {EMBER.workspace} --send on",
        f"  heapline replay {EMBER.workspace} --since 2h",
        f"  {mend}  # the id Heap knows: what is deferred is delivered",
        f"  curl -s {where.heap}/_sim/ledger  # what the Heap simulator has taken",
        f"  heapline dev down --data {data} --delete-data  # ends and deletes all of it",
    ]


def _by_reason(workspaces: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, list[int]]]:
    """Give a line for each reason any workspace has, the most frequent first."""
    sums: Counter[str] = Counter()
    for reasons in workspaces:
        sums.update(reasons)
    for reason, _ in sums.most_common():
        words = _WHY.get(reason, reason.replace("_", " "))
        yield f"  {words}", [reasons.get(reason, 0) for reasons in workspaces]


def _cells(numbers: Sequence[int], *, blank: bool) -> list[str]:
    return ["" if blank and not each else f"{each:,}" for each in [*numbers, sum(numbers)]]
