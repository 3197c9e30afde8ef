"""What a page means: duplicates, late pages, drains, and any mixture of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.segment_sync import decisions
from consumers.segment_sync.decisions import (
    Apply,
    Aside,
    Decision,
    Drain,
    Duplicate,
    Late,
    Place,
    decide,
    decide_late,
    sync_id_of,
)
from heapline.heap.segment_page import Action, Call, SegmentPage
from heapline.heap.segment_record import HeapSegment, Rhythm, SegmentStatus
from heapline.words import SegmentId, UserId, Workspace

if TYPE_CHECKING:
    import random

_MINUTE = 60_000
_HOUR = 60 * _MINUTE


def page(
    sync: str | None = "s1",
    number: int | None = 1,
    total: int | None = 1,
    add: str = "",
    remove: str = "",
    at_ms: int = 0,
    action: Action = Action.SYNC,
) -> SegmentPage:
    """A page whose users are single letters."""
    call = Call(
        action,
        segment_id=SegmentId("7"),
        segment_name="Paying",
        sync_task_id=sync,
        page_number=number,
        total_pages=total,
        add=tuple(map(UserId, add)),
        remove=tuple(map(UserId, remove)),
    )
    return SegmentPage.of(call, Workspace("acme"), signed_at_ms=at_ms, received_at_ms=at_ms)


def drain(at_ms: int = 0) -> SegmentPage:
    """A drain."""
    return page(None, None, None, at_ms=at_ms, action=Action.DRAIN)


class Log:
    """A segment's pages as they come, and what follows from them."""

    def __init__(self) -> None:
        self.pages: list[SegmentPage] = []
        self.members: set[UserId] = set()
        self.segment: HeapSegment | None = None
        self.results: Counter[str] = Counter()

    def take(self, each: SegmentPage) -> Decision:
        """Accept a page, and do what it means."""
        at = Place(3, len(self.pages))
        self.pages.append(each)
        decision = decide(self.segment, each, at)
        if isinstance(decision, Late):
            assert self.segment is not None
            self.results["late"] += 1
            decision = decide_late(self.segment, decision, self.named(decision))
            assert isinstance(decision, Apply)
        self.segment = decision.segment
        if isinstance(decision, Apply):
            assert not set(decision.enters) & set(decision.leaves)
            self.members |= set(decision.enters)
            self.members -= set(decision.leaves)
        elif isinstance(decision, Drain):
            self.members.clear()
        self.results[type(decision).__name__] += 1
        return decision

    def named(self, late: Late) -> set[UserId]:
        """Read again whom newer syncs have named."""
        found: set[UserId] = set()
        for offset in range(late.from_offset, len(self.pages) - 1):
            each = self.pages[offset]
            if sync_id_of(each, Place(3, offset)) in late.newer:
                found |= {*each.add, *each.remove}
        return found

    def restart(self) -> None:
        """Remember only what stands in the record."""
        if self.segment is not None:
            self.segment = HeapSegment.from_record(self.segment.to_record())

    def status(self) -> SegmentStatus:
        """How whole the segment is."""
        return self.known.status

    @property
    def known(self) -> HeapSegment:
        """What is known of the segment."""
        assert self.segment is not None
        return self.segment


def test_a_sync_of_two_pages() -> None:
    """Syncing, then complete, with its users in."""
    log = Log()
    log.take(page(number=1, total=2, add="ab"))
    assert log.status() == SegmentStatus.SYNCING
    log.take(page(number=2, total=2, add="c", remove="a"))
    assert log.status() == SegmentStatus.COMPLETE
    assert log.members == {"b", "c"}
    assert (log.known.name, log.known.pages_partition, log.known.pages_offset) == ("Paying", 3, 1)
    (sync,) = log.known.syncs
    assert (sync.adds, sync.removes, sync.total_pages, sync.first_offset) == (3, 1, 2, 0)


def test_a_removal_wins_within_a_page() -> None:
    """Heap says both of one user: he leaves."""
    log = Log()
    log.take(page(add="ab", remove="a"))
    assert log.members == {"b"}


def test_a_page_seen_before_changes_nobody() -> None:
    """Whatever came between; another page of the same number does."""
    log = Log()
    log.take(page(number=1, total=2, add="a"))
    log.take(page(number=2, total=2, remove="a"))
    assert isinstance(log.take(page(number=1, total=2, add="a")), Duplicate)
    assert log.members == set()
    assert log.known.pages_offset == 2
    assert isinstance(log.take(page(number=1, total=2, add="b")), Apply)


def test_a_late_page_does_not_override_a_newer_sync() -> None:
    """Not even where the newer one removed somebody who was not in."""
    log = Log()
    log.take(page("old", 1, 2, add="a"))
    log.take(page("new", 1, 1, remove="bz", add="c"))
    log.take(page("old", 2, 2, add="bd", remove="c"))
    assert log.members == {"a", "c", "d"}
    assert log.results["late"] == 1
    assert log.status() == SegmentStatus.COMPLETE


def test_missing_pages_of_an_older_sync_make_it_partial() -> None:
    """Until they come after all."""
    log = Log()
    log.take(page("old", 1, 2, add="a"))
    log.take(page("new", 1, 1, add="b"))
    assert log.status() == SegmentStatus.PARTIAL
    log.take(page("old", 2, 2, add="c"))
    assert log.status() == SegmentStatus.COMPLETE


def test_a_page_older_than_a_drain_changes_nobody() -> None:
    """A drain has named everybody."""
    log = Log()
    log.take(page("old", 1, 2, add="a"))
    log.take(drain())
    assert log.members == set()
    assert log.status() == SegmentStatus.DRAINED
    log.take(page("old", 2, 2, add="b"))
    assert log.members == set()


def test_a_second_drain_is_a_retry_for_an_hour() -> None:
    """Afterwards it is meant."""
    log = Log()
    log.take(drain(0))
    log.take(page("s1", add="a", at_ms=_MINUTE))
    assert isinstance(log.take(drain(60 * _MINUTE)), Duplicate)
    assert log.members == {"a"}
    assert isinstance(log.take(drain(61 * _MINUTE)), Drain)
    assert log.members == set()


def test_a_drain_with_an_id_is_known_by_it() -> None:
    """An operator's drain is meant, though Heap drained a minute ago; its retry is none."""
    log = Log()
    log.take(drain(0))
    log.take(page("s1", add="a"))
    meant = replace(drain(_MINUTE), sync_task_id="by-hand")
    assert isinstance(log.take(meant), Drain)
    assert log.members == set()
    assert isinstance(log.take(replace(meant, received_at_ms=9 * _HOUR)), Duplicate)


def test_heaps_drain_is_no_retry_of_one_by_hand() -> None:
    """It names no id, and may come within the hour; the one by hand is known for ever."""
    log = Log()
    by_hand = page("by-hand-1", None, None, action=Action.DRAIN)
    log.take(page("s1", add="a"))
    assert isinstance(log.take(by_hand), Drain)
    log.take(page("s2", add="a"))
    assert isinstance(log.take(drain(_MINUTE)), Drain)
    for number in range(decisions.SYNCS_KEPT):
        log.take(page(f"more{number}", add="b"))
    assert isinstance(log.take(replace(by_hand, received_at_ms=9 * _HOUR)), Duplicate)
    assert log.members == {"b"}


def test_a_page_without_a_sync_is_one_of_its_own() -> None:
    """Its retry within the hour is no-op; later it is meant."""
    log = Log()
    log.take(page(None, None, None, add="a"))
    log.take(page("s1", remove="a"))
    assert isinstance(log.take(page(None, None, None, add="a", at_ms=_HOUR)), Duplicate)
    assert log.members == set()
    assert isinstance(log.take(page(None, None, None, add="a", at_ms=_HOUR + 1)), Apply)
    assert log.members == {"a"}


def test_pages_that_name_no_number_are_counted() -> None:
    """Three of three make a whole sync."""
    log = Log()
    for users in "abc":
        log.take(page("s1", None, 3, add=users))
    assert log.status() == SegmentStatus.COMPLETE
    assert log.members == {"a", "b", "c"}


def test_a_page_beyond_the_total_completes_nothing() -> None:
    """It is applied all the same; a total that grows reopens the sync."""
    log = Log()
    log.take(page("s1", 5, 2, add="a"))
    log.take(page("s1", 1, 2, add="b"))
    assert log.status() == SegmentStatus.SYNCING
    log.take(page("s1", 2, 2, add="c"))
    assert log.status() == SegmentStatus.COMPLETE
    log.take(page("s1", 6, 7, add="d"))
    assert log.status() == SegmentStatus.SYNCING
    assert log.members == {"a", "b", "c", "d"}


def test_a_sync_older_than_the_list_is_put_aside() -> None:
    """It is not taken for a new one, and the segment says so."""
    log = Log()
    log.take(page("first", 1, 2, add="a"))
    for number in range(decisions.SYNCS_KEPT):
        log.take(page(f"s{number}", add="b"))
    assert len(log.known.syncs) == decisions.SYNCS_KEPT
    assert log.known.has_gap, "the first one never became whole"
    decision = log.take(page("first", 2, 2, add="z"))
    assert isinstance(decision, Aside)
    assert decision.reason == "too_old"
    assert log.members == {"a", "b"}
    (aside,) = log.known.put_aside
    assert (aside.reason, aside.sync_id) == ("too_old", "first")
    assert log.status() == SegmentStatus.PARTIAL


def test_a_late_page_whose_rivals_are_gone_is_put_aside() -> None:
    """Guessing could bring a wrong member back."""
    log = Log()
    log.take(page("old", 1, 2, add="a"))
    log.take(page("new", add="b"))
    late = decide(log.segment, page("old", 2, 2, add="c"), Place(3, 2))
    assert isinstance(late, Late)
    decision = decide_late(log.known, late, None)
    assert isinstance(decision, Aside)
    assert decision.reason == "not_retained"
    assert decision.segment.has_gap


def test_a_drain_mends_a_gap() -> None:
    """Nobody is in, and that is known for sure."""
    log = Log()
    log.take(replace(page(), action=Action.REFUSED, refusal="users_malformed"))
    assert log.status() == SegmentStatus.PARTIAL
    assert log.known.put_aside[0].reason == "users_malformed"
    log.take(drain())
    assert (log.known.status, log.known.has_gap) == (SegmentStatus.DRAINED, False)


@pytest.mark.parametrize(
    ("apart_ms", "rhythm"),
    [
        (4 * _HOUR, Rhythm.RECURRING),
        (4 * _HOUR - 30 * _MINUTE, Rhythm.RECURRING),
        (4 * _HOUR + 30 * _MINUTE + 1, Rhythm.UNKNOWN),
        (_HOUR, Rhythm.UNKNOWN),
    ],
)
def test_two_syncs_four_hours_apart_recur(apart_ms: int, rhythm: Rhythm) -> None:
    """Give or take half an hour; once told, it stays told."""
    log = Log()
    log.take(page("s1", add="a"))
    log.take(page("s2", add="b", at_ms=apart_ms))
    assert log.known.rhythm is rhythm
    log.take(page("s3", add="b", at_ms=apart_ms + _MINUTE))
    assert log.known.rhythm is rhythm


def test_a_segment_renamed() -> None:
    """The last name told counts; a page without one keeps it."""
    log = Log()
    log.take(page("s1"))
    log.take(replace(page("s2"), segment_name="Churned"))
    assert log.known.name == "Churned"
    log.take(replace(page("s3"), segment_name=""))
    assert log.known.name == "Churned"


@dataclass(frozen=True)
class Planned:
    """A sync as Heap means it: pages of (adds, removes); none is a drain."""

    pages: tuple[tuple[str, str], ...]


_USERS = st.text("abcdef", max_size=4)
_PLANS = st.lists(
    st.lists(st.tuples(_USERS, _USERS), max_size=3).map(lambda pages: Planned(tuple(pages))),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(plans=_PLANS, rng=st.randoms(use_true_random=False), late=st.booleans())
def test_any_order_ends_as_the_syncs_in_order(
    *, plans: list[Planned], rng: random.Random, late: bool
) -> None:
    """Duplicated, shuffled and late pages of any syncs, across restarts: one end.

    Namely that of the syncs applied whole, in the order of their first pages.
    """
    sent = _sent(plans, rng, late=late)
    log = Log()
    for each in sent:
        log.take(each)
        if rng.random() < 0.3:
            log.restart()
    assert log.members == _expected(sent)
    assert log.status() != SegmentStatus.SYNCING


def _sent(plans: list[Planned], rng: random.Random, *, late: bool) -> list[SegmentPage]:
    """Lay pages out on a line of time, with retries; a drain every two hours."""
    line: list[tuple[float, SegmentPage]] = []
    for number, plan in enumerate(plans):
        start = number * 2.0
        if not plan.pages:
            line.append((start, drain(int(start * _HOUR))))
            continue
        for place, (add, remove) in enumerate(plan.pages, 1):
            each = page(f"s{number}", place, len(plan.pages), add=add, remove=remove)
            for _ in range(rng.choice([1, 1, 2, 3])):
                wait = rng.uniform(0, 12.0 if late else 1.0)
                line.append((start + wait, replace(each, received_at_ms=int(start * _HOUR))))
    return [each for _, each in sorted(line, key=lambda item: item[0])]


def _expected(sent: list[SegmentPage]) -> set[UserId]:
    """Apply the syncs whole, in the order of their first pages, by plain sets."""
    syncs: dict[str, dict[int, SegmentPage]] = {}
    for offset, each in enumerate(sent):
        pages = syncs.setdefault(sync_id_of(each, Place(3, offset)), {})
        pages.setdefault(each.digest, each)
    members: set[UserId] = set()
    for pages in syncs.values():
        for each in pages.values():
            if each.action is Action.DRAIN:
                members.clear()
            members |= set(each.add)
            members -= set(each.remove)
    return members
