"""What holds *now* of a segment: time alone turns some of what was written into something else.

Heap's recurring sync runs every four hours, and nobody says whether an empty delta is sent at all.
So a recurring segment of which nothing was heard for nine hours is *stale* only if no other segment
of its workspace was synced since; otherwise it is *quiet*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.heap.segment_record import Rhythm, SegmentStatus, SyncKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.heap.segment_record import HeapSegment

_HOUR_MS: Final = 3_600_000
ABANDONED_MS: Final = _HOUR_MS
"""A sync of which no page came for so long misses the rest."""
SILENT_MS: Final = 9 * _HOUR_MS
"""Two recurring syncs and an hour: nothing for so long is worth saying."""
RECURS_MS: Final = 4 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Freshness:
    """What holds of a segment at one moment.

    Attributes:
        status, rhythm: as of now.
        stale: recurring, and nothing came for too long, of other segments neither.
        quiet: recurring, and nothing came for too long, but of other segments something did.
        last_synced_at_ms: when its newest page was accepted; None before the first.
        expected_at_ms: when the next sync should begin; None where nobody can tell.
    """

    status: str
    rhythm: str
    stale: bool = False
    quiet: bool = False
    last_synced_at_ms: int | None = None
    expected_at_ms: int | None = None


def last_synced_at_ms(segment: HeapSegment) -> int | None:
    """Give when the newest page of a segment's syncs was accepted; drains do not count."""
    syncs = [sync for sync in segment.syncs if sync.kind is not SyncKind.DRAIN]
    return max((sync.last_page_at_ms for sync in syncs), default=None)


def newest_of(segments: Iterable[HeapSegment]) -> int | None:
    """Give when the newest page of any of a workspace's segments was accepted."""
    times = (last_synced_at_ms(segment) for segment in segments)
    return max((each for each in times if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Heard:
    """What was written of a segment, as far as time changes what holds.

    Attributes:
        status, rhythm: as written; a name of another kind never changes.
        last_synced_at_ms: see `last_synced_at_ms`.
        last_page_at_ms: when the newest page of its newest sync or drain was accepted.
        sync_started_at_ms: when its newest sync began; None for a drain.
    """

    status: str
    rhythm: str
    last_synced_at_ms: int | None = None
    last_page_at_ms: int | None = None
    sync_started_at_ms: int | None = None


def heard(segment: HeapSegment) -> Heard:
    """Give what was written of a segment."""
    newest = segment.syncs[-1] if segment.syncs else None
    began = newest is not None and newest.kind is not SyncKind.DRAIN
    return Heard(
        segment.status,
        segment.rhythm,
        last_synced_at_ms(segment),
        None if newest is None else newest.last_page_at_ms,
        newest.started_at_ms if newest is not None and began else None,
    )


def freshness(
    segment: HeapSegment | Heard, workspace_newest_ms: int | None, now_ms: int
) -> Freshness:
    """Tell what holds of a segment now.

    Args:
        segment: as its last page left it.
        workspace_newest_ms: see `newest_of`, over all segments of the workspace.
        now_ms: milliseconds since 1970-01-01 UTC.
    """
    known = segment if isinstance(segment, Heard) else heard(segment)
    last = known.last_synced_at_ms
    silent = last is not None and now_ms - last >= SILENT_MS
    rhythm = known.rhythm
    if rhythm == Rhythm.UNKNOWN and silent:
        rhythm = Rhythm.ONCE
    overdue = silent and rhythm == Rhythm.RECURRING
    heard_of_others = workspace_newest_ms is not None and now_ms - workspace_newest_ms < SILENT_MS
    expected = None
    if rhythm == Rhythm.RECURRING and known.sync_started_at_ms is not None:
        expected = known.sync_started_at_ms + RECURS_MS
    return Freshness(
        _status(known, now_ms),
        rhythm,
        stale=overdue and not heard_of_others,
        quiet=overdue and heard_of_others,
        last_synced_at_ms=last,
        expected_at_ms=expected,
    )


def _status(known: Heard, now_ms: int) -> str:
    """An unfinished sync of which nothing more comes has lost its pages."""
    if known.status != SegmentStatus.SYNCING or known.last_page_at_ms is None:
        return known.status
    abandoned = now_ms - known.last_page_at_ms >= ABANDONED_MS
    return SegmentStatus.PARTIAL if abandoned else known.status
