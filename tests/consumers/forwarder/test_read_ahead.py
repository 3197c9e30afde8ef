"""The window over the deferred topic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.read_ahead import ReadAhead
from heapline.outcomes import DeferReason, Source
from tests.consumers.forwarder.samples import EPOCH_MS, deferral, record

if TYPE_CHECKING:
    from consumers.forwarder.record import Record


def deferred(
    due_ms: int,
    workspace: str = "a",
    first_ms: int = EPOCH_MS,
    reason: DeferReason | None = None,
) -> Record:
    """Make a record of the deferred topic."""
    made = record(workspace=workspace, source=Source.DEFERRED, body=b"")
    made.deferral = replace(deferral(first_ms, EPOCH_MS + due_ms), reason=reason)
    return made


def window(*held: Record, most: int = 100, most_bytes: int = 1_000_000) -> ReadAhead:
    """Make a window that holds these."""
    made = ReadAhead(most, most_bytes)
    for each in held:
        made.add(each)
    return made


def test_nothing_is_given_before_its_time() -> None:
    """And what is due comes in the order it became due, read order where that is equal."""
    late, early, second = deferred(2_000), deferred(1_000), deferred(1_000)
    there = window(late, early, second)
    assert there.due_workspaces(EPOCH_MS + 999) == []
    assert list(there.take_due("a", EPOCH_MS + 999, 10)) == []
    assert list(there.take_due("a", EPOCH_MS + 1_999, 10)) == [early, second]
    assert list(there.take_due("a", EPOCH_MS + 2_000, 10)) == [late]
    assert len(there) == 0
    assert there.due_workspaces(EPOCH_MS + 10_000) == []


def test_a_lane_with_room_gets_records_before_they_are_due() -> None:
    """In the same order; only those of an identity over its limit wait for their time."""
    over = DeferReason.IDENTITY_OVER_LIMIT
    second, first = deferred(9_000, reason=DeferReason.TOO_OLD), deferred(5_000)
    hot, hotter = deferred(1_000, reason=over), deferred(2_000, reason=over)
    there = window(second, hot, hotter, first)
    assert there.ready_workspaces(EPOCH_MS) == ["a"]
    assert there.due_workspaces(EPOCH_MS) == []
    assert list(there.take_ready("a", EPOCH_MS + 1_000, 2)) == [hot, first]
    assert list(there.take_ready("a", EPOCH_MS + 1_000, 2)) == [second]
    assert there.ready_workspaces(EPOCH_MS + 1_999) == []
    assert there.ready_workspaces(EPOCH_MS + 2_000) == ["a"]
    assert list(there.take_ready("a", EPOCH_MS + 2_000, 2)) == [hotter]
    assert len(there) == 0


def test_those_due_last_can_be_taken_to_make_room() -> None:
    """Of one workspace, whatever they wait for."""
    over = deferred(3_000, reason=DeferReason.IDENTITY_OVER_LIMIT)
    first, last, other = deferred(1_000), deferred(9_000), deferred(9_000, "b")
    there = window(over, last, first, other)
    assert there.take_last("c", 5) == []
    assert set(map(id, there.take_last("a", 2))) == {id(over), id(last)}
    assert there.counts() == {"a": 1, "b": 1}
    assert there.take_last("a", 2) == [first]
    assert len(there) == 1


def test_workspaces_do_not_wait_for_each_other() -> None:
    """Each has its own order."""
    there = window(deferred(9_000, "a"), deferred(0, "b"), deferred(0, "b"))
    assert there.due_workspaces(EPOCH_MS) == ["b"]
    assert (there.backlog("a"), there.backlog("b"), there.backlog("c")) == (1, 2, 0)
    assert len(list(there.take_due("b", EPOCH_MS, 1))) == 1
    assert len(there) == 2


def test_it_is_full_by_count_or_by_memory() -> None:
    """Whichever comes first."""
    assert not window(deferred(0), most=2).full
    assert window(deferred(0), deferred(0), most=2).full
    big = deferred(0)
    big.value = b"x" * 5_000
    assert window(big, most_bytes=5_000).full
    there = window(big, most_bytes=5_000)
    list(there.take_due("a", EPOCH_MS, 1))
    assert not there.full


def test_records_of_a_partition_handed_over_are_forgotten() -> None:
    """Due or not."""
    gone, kept = deferred(0), deferred(0)
    there = window(gone, kept)
    gone.dropped = True
    there.drop()
    assert list(there.take_due("a", EPOCH_MS, 10)) == [kept]


def test_old_records_can_be_taken_before_they_are_due() -> None:
    """So that they expire though no lane ever asks for them."""
    old, young = deferred(10**9, first_ms=EPOCH_MS - 5_000), deferred(10**9)
    there = window(old, young)
    assert there.count_past(EPOCH_MS, 5.0) == 1
    assert there.take_past(EPOCH_MS, 5.0) == [old]
    assert len(there) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=60), st.data())
def test_its_counts_stay_true(held: list[tuple[str, int]], data: st.DataObject) -> None:
    """Whatever is taken or dropped, nothing is lost, and the memory reckoned returns to 0."""
    there = window()
    inside = [deferred(due, workspace) for workspace, due in held]
    for each in inside:
        there.add(each)
    now_ms = EPOCH_MS
    while inside:
        now_ms += data.draw(st.integers(1, 20))
        if data.draw(st.booleans()):
            inside[0].dropped = True
            there.drop()
            inside.pop(0)
        for workspace in there.due_workspaces(now_ms):
            for each in there.take_due(workspace, now_ms, data.draw(st.integers(1, 5))):
                assert each.deferral is not None
                assert each.deferral.not_before_ms <= now_ms
                inside.remove(each)
        assert len(there) == len(inside)
        assert sum(map(there.backlog, "abc")) == len(inside)
    assert there._bytes == 0
