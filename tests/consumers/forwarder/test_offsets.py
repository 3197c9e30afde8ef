"""How far a partition may be checkpointed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.offsets import OffsetTracker
from heapline.outcomes import DeferReason, Outcome
from tests.consumers.forwarder.samples import at, record


def test_a_waiting_record_holds_the_checkpoint_back() -> None:
    """What is settled behind a waiting record stays until that one is settled."""
    tracker = OffsetTracker(0)
    first, second = record(offset=0), record(offset=1)
    tracker.add(first)
    tracker.add(second)
    second.settle(Outcome.DELIVERED, at(0))
    assert tracker.take_settled(10) == []
    assert tracker.next_offset() == 0
    first.settle(Outcome.DELIVERED, at(0))
    assert tracker.take_settled(10) == [first, second]
    assert tracker.next_offset() == 2


def test_a_record_read_twice_is_a_mistake() -> None:
    """An offset before the position was counted already."""
    tracker = OffsetTracker(5)
    tracker.add(record(offset=5))
    with pytest.raises(ValueError, match="read before"):
        tracker.add(record(offset=5))


def test_only_so_many_records_written_elsewhere_are_taken() -> None:
    """Delivered records cost a checkpoint nothing; deferred ones are counted."""
    tracker = OffsetTracker(0)
    for offset in range(6):
        each = record(offset=offset)
        tracker.add(each)
        outcome = Outcome.DEFERRED if offset % 2 else Outcome.DELIVERED
        each.settle(outcome, at(0), DeferReason.HOLD if offset % 2 else None)
    assert [r.offset for r in tracker.take_settled(2)] == [0, 1, 2, 3]
    assert tracker.next_offset() == 4
    assert tracker.take_settled(0) == []


def test_markers_behind_the_last_record_are_committed_too() -> None:
    """Else retention would one day seem to have deleted records that nobody had read."""
    tracker = OffsetTracker(3)
    assert tracker.take_offset() is None
    each = record(offset=3)
    tracker.add(each)
    tracker.reached(5)
    assert tracker.take_offset() is None, "a record waits"
    each.settle(Outcome.DELIVERED, at(0))
    tracker.take_settled(1)
    assert tracker.next_offset() == 5
    assert tracker.take_offset() is None, "the checkpoint of the record said it already"
    tracker.reached(7)
    assert tracker.take_offset() == 7
    assert tracker.take_offset() is None
    tracker.reached(6)
    assert tracker.position == 7, "an end never goes back"


def test_giving_a_partition_up_marks_its_records() -> None:
    """Whoever still holds one of them sees that it settles nothing here."""
    tracker = OffsetTracker(0)
    held = [record(offset=n) for n in range(3)]
    for each in held:
        tracker.add(each)
    assert tracker.drop() == held
    assert all(each.dropped for each in held)
    assert len(tracker) == 0


@given(
    offsets=st.sets(st.integers(0, 200), min_size=1),
    data=st.data(),
)
def test_no_checkpoint_passes_a_waiting_record(offsets: set[int], data: st.DataObject) -> None:
    """Whatever order records settle in, and wherever the log has holes."""
    tracker = OffsetTracker(0)
    held = {offset: record(offset=offset) for offset in sorted(offsets)}
    for each in held.values():
        tracker.add(each)
    taken: list[int] = []
    for offset in data.draw(st.permutations(sorted(offsets))):
        held[offset].settle(Outcome.DELIVERED, at(0))
        taken += [r.offset for r in tracker.take_settled(data.draw(st.integers(1, 5)))]
        waiting = [o for o, each in held.items() if each.outcome is None]
        assert tracker.next_offset() <= min(waiting, default=tracker.position)
        left = sorted(offsets - set(taken))
        assert tracker.has_settled == (bool(left) and held[left[0]].outcome is not None)
    assert taken == sorted(offsets)
    assert tracker.next_offset() == max(offsets) + 1
