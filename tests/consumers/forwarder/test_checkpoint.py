"""What a checkpoint takes, and how it is counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.checkpoint import collect, outcome_counts
from consumers.forwarder.offsets import OffsetTracker
from consumers.forwarder.record import Partition
from heapline.outcomes import DeadLetterReason, DeferReason, Outcome, SkipReason
from tests.consumers.forwarder.samples import EVENTS_0, at, record

if TYPE_CHECKING:
    from enum import StrEnum

OTHER = Partition("events", 1)
REASONS: dict[Outcome, list[StrEnum | None]] = {
    Outcome.DELIVERED: [None],
    Outcome.SKIPPED: [SkipReason.ANONYMOUS, SkipReason.ADMIN],
    Outcome.DEAD_LETTERED: [DeadLetterReason.UNDECODABLE],
    Outcome.DEFERRED: [DeferReason.HOLD, DeferReason.TOO_OLD],
}


def test_nothing_settled_is_no_checkpoint() -> None:
    """A waiting record alone is nothing to write down."""
    tracker = OffsetTracker(0)
    tracker.add(record(offset=0))
    assert collect({EVENTS_0: tracker}, 10) is None


def test_each_partition_gives_its_own_prefix() -> None:
    """One that is held up holds up no other."""
    held, free = OffsetTracker(0), OffsetTracker(5)
    held.add(record(offset=0))
    each = record(offset=5)
    free.add(each)
    each.settle(Outcome.DELIVERED, at(0))
    checkpoint = collect({EVENTS_0: held, OTHER: free}, 10)
    assert checkpoint is not None
    assert {p: s.offset for p, s in checkpoint.partitions.items()} == {OTHER: 6}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["seen", "x" * 200]),
            st.sampled_from([(o, r) for o, reasons in REASONS.items() for r in reasons]),
            st.integers(0, 150),
        ),
        max_size=60,
    )
)
def test_the_counts_are_the_records(
    drawn: list[tuple[str, str, tuple[Outcome, object], int]],
) -> None:
    """Every settled record is counted once, under its workspace, name, outcome, reason, minute."""
    tracker = OffsetTracker(0)
    expected: Counter[tuple[object, ...]] = Counter()
    for offset, (workspace, name, (outcome, reason), seconds) in enumerate(drawn):
        each = record(offset=offset, workspace=workspace)
        each.name = name
        tracker.add(each)
        each.settle(outcome, at(seconds), reason)  # type: ignore[arg-type]  # of the right enum
        minute = at(seconds).epoch_ms // 60_000 * 60_000
        expected[workspace, name[:100], outcome.value, reason, minute] += 1
    checkpoint = collect({EVENTS_0: tracker}, 10_000)
    counted: Counter[tuple[object, ...]] = Counter()
    for counts in outcome_counts(checkpoint) if checkpoint else ():
        for c in counts["counts"]:
            kind = (counts["workspace"], c["event"], c["outcome"], c["reason"], c["minute"])
            counted[kind] += c["count"]
    assert counted == expected
