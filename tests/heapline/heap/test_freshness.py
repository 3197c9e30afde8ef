"""What holds of a segment as time goes by."""

from __future__ import annotations

from dataclasses import replace

from heapline.heap.freshness import freshness, newest_of
from heapline.heap.segment_record import (
    HeapSegment,
    Rhythm,
    SegmentStatus,
    SegmentSync,
    SyncKind,
)
from heapline.words import SegmentId, Workspace

_HOUR = 3_600_000
_START = 1_800_000_000_000


def segment(
    status: SegmentStatus = SegmentStatus.COMPLETE,
    rhythm: Rhythm = Rhythm.UNKNOWN,
    kind: SyncKind = SyncKind.SYNC,
) -> HeapSegment:
    """Make a segment with one sync at the start."""
    sync = SegmentSync("s1", 1, kind, 0, _START, _START)
    empty = HeapSegment(Workspace("acme"), SegmentId("7"), _START, 0, 0, status)
    return replace(empty, rhythm=rhythm, syncs=(sync,))


def test_a_sync_of_which_nothing_more_comes_is_partial() -> None:
    """After an hour without a page."""
    running = segment(SegmentStatus.SYNCING)
    assert freshness(running, None, _START + _HOUR - 1).status is SegmentStatus.SYNCING
    assert freshness(running, None, _START + _HOUR).status is SegmentStatus.PARTIAL
    whole = segment(SegmentStatus.COMPLETE)
    assert freshness(whole, None, _START + 99 * _HOUR).status is SegmentStatus.COMPLETE


def test_a_single_sync_turns_out_to_be_once() -> None:
    """After nine hours without another; never stale."""
    one = segment()
    assert freshness(one, _START, _START + 9 * _HOUR - 1).rhythm is Rhythm.UNKNOWN
    later = freshness(one, _START, _START + 9 * _HOUR)
    assert later.rhythm is Rhythm.ONCE
    assert not later.stale
    assert later.expected_at_ms is None


def test_a_silent_recurring_segment_is_stale_or_quiet() -> None:
    """Stale where nothing came for the whole workspace, quiet where something did."""
    recurring = segment(rhythm=Rhythm.RECURRING)
    now = _START + 9 * _HOUR
    alone = freshness(recurring, newest_of([recurring]), now)
    assert (alone.stale, alone.quiet) == (True, False)
    beside = freshness(recurring, now - _HOUR, now)
    assert (beside.stale, beside.quiet) == (False, True)
    in_time = freshness(recurring, _START, now - 1)
    assert (in_time.stale, in_time.quiet) == (False, False)
    assert in_time.expected_at_ms == _START + 4 * _HOUR


def test_a_drain_is_no_sync() -> None:
    """It tells nothing of when the members were last true, and expects nothing."""
    drained = segment(SegmentStatus.DRAINED, Rhythm.RECURRING, SyncKind.DRAIN)
    found = freshness(drained, None, _START + 99 * _HOUR)
    assert (found.last_synced_at_ms, found.expected_at_ms, found.stale) == (None, None, False)
    assert newest_of([drained]) is None
