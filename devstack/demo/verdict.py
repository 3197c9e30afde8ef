"""Whether a demo went as it must, and the numbers that say so; pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from consumers.forwarder.totals import advice
from devstack.demo.cast import CAST
from heapline.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devstack.demo.books import Account
    from devstack.heap_simulator.reports import AppReport, LedgerReport

_BOOKS: Final = {
    "settled_and_counted": "events the forwarder has passed and outcomes counted for them",
    "deferred_settled_and_counted": "deferred events it has passed and outcomes counted for them",
    "dead_lettered_and_in_the_dlq": "events counted as dead-lettered and records of the DLQ",
    "dead_lettered_twice": "records of the DLQ and the events they come from",
    "deferred_and_in_the_topic": "events counted as deferred and records of the deferred topic",
}
_MEMBERS: Final = {str(member.workspace): member for member in CAST}


@dataclass(frozen=True, slots=True)
class Row:
    """One workspace: what the topics say, and what the simulator says.

    Attributes:
        acknowledged: records the brokers confirmed to the publisher.
        in_heap: events Heap holds for its app id.
        requests: that Heap got for its app id.
        repeated: deliveries of events Heap had already; harmless, their keys were the same.
        conflicting: those of them with other content; there must be none.
    """

    account: Account
    shows: str
    acknowledged: int
    in_heap: int
    requests: int
    repeated: int
    conflicting: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Some records of a workspace that were not delivered, and why.

    Attributes:
        to_change_it: the command that would, if one does.
    """

    workspace: str
    outcome: Outcome
    reason: str
    events: int
    to_change_it: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a demo showed.

    Attributes:
        problems: what is not as it must be, in words; empty when all is well.
        seconds: how long the forwarder ran.
    """

    rows: list[Row]
    problems: list[str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.problems

    @property
    def lost(self) -> int:
        """Records on which the topics disagree, over all workspaces."""
        return sum(row.account.lost for row in self.rows)

    def refusals(self) -> list[Refusal]:
        """Give what was not delivered, by workspace, outcome and reason."""
        return [each for row in self.rows for each in _refusals(row.account)]

    def as_json(self) -> dict[str, Any]:
        """Give the same as plain data."""
        return {
            "ok": self.ok,
            "lost": self.lost,
            "problems": self.problems,
            "forwarding_seconds": round(self.seconds, 3),
            "workspaces": {row.account.workspace: _plain(row) for row in self.rows},
            "not_delivered": [asdict(each) for each in self.refusals()],
        }


def judged(
    accounts: Sequence[Account],
    acknowledged: Mapping[str, int],
    ledger: LedgerReport,
    seconds: float,
) -> Verdict:
    """Put the books beside what the publisher and the simulator know, and find what is wrong."""
    rows = [_row(account, acknowledged, ledger.apps) for account in accounts]
    return Verdict(rows, [problem for row in rows for problem in _problems(row)], seconds)


def _row(account: Account, acknowledged: Mapping[str, int], apps: Mapping[str, AppReport]) -> Row:
    member = _MEMBERS.get(account.workspace)
    app = apps.get(member.app_id or "") if member else None
    return Row(
        account=account,
        shows=member.shows if member else "",
        acknowledged=acknowledged.get(account.workspace, 0),
        in_heap=app.accepted if app else 0,
        requests=sum(app.outcomes.values()) if app else 0,
        repeated=app.duplicates if app else 0,
        conflicting=app.conflicting_duplicates if app else 0,
    )


def _problems(row: Row) -> Iterator[str]:
    account = row.account
    whose = account.workspace or "records without a workspace"
    for books, by in account.differences.items():
        if by:
            yield f"{whose}: {_BOOKS[books]} differ by {by:+d}"
    if row.acknowledged != account.published:
        yield (
            f"{whose}: the brokers confirmed {row.acknowledged} records, the topic holds "
            f"{account.published}"
        )
    if row.in_heap != account.delivered:
        yield (f"{whose}: {account.delivered} counted as delivered, but Heap holds {row.in_heap}")
    if row.conflicting:
        yield f"{whose}: {row.conflicting} events reached Heap again with other content"
    if account.waiting:
        yield f"{whose}: {account.waiting} events are still waiting"


def _refusals(account: Account) -> Iterator[Refusal]:
    for outcome, reasons in (
        (Outcome.SKIPPED, account.skipped),
        (Outcome.DEAD_LETTERED, account.dead_lettered),
        (Outcome.DEFERRED, account.deferred_for),
    ):
        for reason, events in reasons.items():
            command = advice(account.workspace, reason)
            yield Refusal(account.workspace, outcome, reason, events, command)


def _plain(row: Row) -> dict[str, Any]:
    account = row.account
    return {
        "shows": row.shows,
        "published": account.published,
        "delivered": account.delivered,
        "skipped": account.skipped,
        "dead_lettered": account.dead_lettered,
        "deferred": account.deferred,
        "deferred_for": account.deferred_for,
        "waiting": account.waiting,
        "requests": row.requests,
        "lost": account.lost,
        "differences": account.differences,
        "in_heap": row.in_heap,
        "repeated_deliveries": row.repeated,
    }
