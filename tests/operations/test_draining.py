"""Which segments are drained: all that have members, and all that will have."""

from __future__ import annotations

from heapline.heap.segment_record import HeapSegment, SegmentStatus
from heapline.words import SegmentId, Workspace
from operations.accepted_segments import to_be_drained

ACME = Workspace("acme")


def row(
    segment: str, status: SegmentStatus = SegmentStatus.COMPLETE, workspace: str = "acme"
) -> HeapSegment:
    """Give a segment's record."""
    return HeapSegment(
        workspace=Workspace(workspace),
        segment_id=SegmentId(segment),
        updated_at_ms=1,
        pages_partition=0,
        pages_offset=1,
        status=status,
        memberships_offset=1,
    )


def test_all_that_may_have_members_are_drained() -> None:
    """A drained one is left alone, unless a page for it waits; others' segments always."""
    rows = [
        row("b"),
        row("a", SegmentStatus.PARTIAL),
        row("empty", SegmentStatus.DRAINED),
        row("filling", SegmentStatus.DRAINED),
        row("theirs", workspace="umbrella"),
        row(""),
    ]
    waiting = [SegmentId(each) for each in ("new", "filling", "b", "new", "")]
    assert to_be_drained(ACME, rows, waiting) == ("a", "b", "new", "filling")
    assert to_be_drained(ACME, [], []) == ()
