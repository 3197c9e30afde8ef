"""The demo's accounting: from what stands in the topics to what became of every record.

Every number is kept twice, by parts that know nothing of one another: the events topic with the
group's offsets says how many records were settled, the outcome counts say what became of them, the
DLQ and the deferred topic hold those that went there. Where the books disagree, something was lost
or counted twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heapline.outcomes import Outcome, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

Outcomes = Counter[tuple[str, str, str, str]]
"""Counts by (workspace, source, outcome, reason); the reason of *delivered* is empty."""


@dataclass(slots=True)
class Books:
    """What stands in the topics, by workspace.

    Attributes:
        published: records of the events topic.
        waiting: those of them at or past the group's offsets.
        outcomes: the sums of the outcome counts.
        dead_letters: for each record of the DLQ its workspace and where it first stood.
        deferred: records of the deferred topic.
        deferred_waiting: those of them at or past the group's offsets.
    """

    published: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    outcomes: Outcomes = field(default_factory=Counter)
    dead_letters: list[tuple[str, str]] = field(default_factory=list)
    deferred: Counter[str] = field(default_factory=Counter)
    deferred_waiting: Counter[str] = field(default_factory=Counter)

    def workspaces(self) -> list[str]:
        """Give every workspace that any book names."""
        named = {workspace for workspace, *_ in self.outcomes}
        named |= {workspace for workspace, _ in self.dead_letters}
        return sorted(named | self.published.keys() | self.deferred.keys())


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one workspace's records.

    `published = delivered + skipped + dead_lettered + deferred + waiting` when nothing is lost.

    Attributes:
        skipped, dead_lettered: counts by reason.
        deferred: by reason, records that lie in the deferred topic now.
        differences: how far two books that should agree do not, by what they tell of; the first is
            below zero when more outcomes were counted than records settled.
    """

    workspace: str
    published: int
    delivered: int
    skipped: dict[str, int]
    dead_lettered: dict[str, int]
    deferred: int
    deferred_for: dict[str, int]
    waiting: int
    differences: dict[str, int]

    @property
    def lost(self) -> int:
        """Records on which the books disagree; not 0 also when something was counted twice."""
        return sum(map(abs, self.differences.values()))


def accounts(books: Books, cast: Iterable[str] = ()) -> list[Account]:
    """Give an account for each of these workspaces, then for all others the books name."""
    first = list(cast)
    others = [each for each in books.workspaces() if each not in set(first)]
    return [_account(books, workspace) for workspace in [*first, *others]]


def _account(books: Books, workspace: str) -> Account:
    outcomes = books.outcomes
    return Account(
        workspace=workspace,
        published=books.published[workspace],
        delivered=_sum(outcomes, workspace, outcome=Outcome.DELIVERED),
        skipped=_by_reason(outcomes, workspace, Outcome.SKIPPED),
        dead_lettered=_by_reason(outcomes, workspace, Outcome.DEAD_LETTERED),
        deferred=books.deferred_waiting[workspace],
        deferred_for=_by_reason(outcomes, workspace, Outcome.DEFERRED),
        waiting=books.waiting[workspace],
        differences=_differences(books, workspace),
    )


def _differences(books: Books, workspace: str) -> dict[str, int]:
    outcomes = books.outcomes
    from_events = _sum(outcomes, workspace, source=Source.EVENTS)
    origins = [origin for whose, origin in books.dead_letters if whose == workspace]
    deferred = books.deferred[workspace]
    read_again = deferred - books.deferred_waiting[workspace]
    return {
        "settled_and_counted": books.published[workspace] - books.waiting[workspace] - from_events,
        "deferred_settled_and_counted": read_again - (_sum(outcomes, workspace) - from_events),
        "dead_lettered_and_in_the_dlq": _sum(outcomes, workspace, outcome=Outcome.DEAD_LETTERED)
        - len(origins),
        "dead_lettered_twice": len(origins) - len(set(origins)),
        "deferred_and_in_the_topic": _sum(outcomes, workspace, outcome=Outcome.DEFERRED) - deferred,
    }


def _sum(outcomes: Outcomes, workspace: str, *, source: str = "", outcome: str = "") -> int:
    return sum(
        count
        for (whose, where, what, _), count in outcomes.items()
        if whose == workspace and source in {"", where} and outcome in {"", what}
    )


def _by_reason(outcomes: Outcomes, workspace: str, outcome: Outcome) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for (whose, _, what, reason), count in outcomes.items():
        if whose == workspace and what == outcome:
            reasons[reason] += count
    return dict(reasons.most_common())
