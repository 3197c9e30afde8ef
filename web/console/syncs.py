"""What came from Heap, sync by sync and page by page, as the pages tell it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

from heapline.heap.freshness import freshness, newest_of
from heapline.heap.segment_record import SegmentStatus, SyncKind
from operations.segment_news import asides_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from heapline.heap.segment_record import HeapSegment, SegmentSync
    from operations.segment_news import Aside

_NAMES = {
    SyncKind.SYNC: "sync",
    SyncKind.PAGE: "page of no named sync",
    SyncKind.DRAIN: "drain",
}


@dataclass(frozen=True, slots=True)
class SyncView:
    """A segment's newest sync, and when the next one is due.

    Attributes:
        status: as of now.
        kind: what its newest sync came as, in words; empty before the first.
        pages, total: that came, and that there are.
        missing: numbers of the pages that did not come yet, as far as they are known.
        adds, removes: users of those pages.
        started_at_ms, last_page_at_ms: since 1970-01-01 UTC.
        expected_at_ms: when the next sync should begin; None where nobody can tell.
        asides: pages that need a repair.
    """

    segment_id: str
    name: str
    status: str
    kind: str = ""
    sync_id: str = ""
    pages: int = 0
    total: int = 1
    missing: tuple[int, ...] = ()
    adds: int = 0
    removes: int = 0
    started_at_ms: int = 0
    last_page_at_ms: int = 0
    expected_at_ms: int | None = None
    asides: tuple[Aside, ...] = ()

    @property
    def running(self) -> bool:
        """Whether pages are still to come."""
        return self.status == SegmentStatus.SYNCING


def sync_views(
    segments: Sequence[HeapSegment],
    now_ms: int,
    most: int | None = None,
    of: Collection[str] | None = None,
) -> list[SyncView]:
    """Tell of every segment that has a number, or of the most that were heard of last.

    Args:
        segments: all of a workspace: whether one is stale depends on the others.
        now_ms: milliseconds since 1970-01-01 UTC.
        most: how many at most; None tells of all, in the order given.
        of: only of these ids.
    """
    newest_ms = newest_of(segments)
    named = [each for each in segments if each.segment_id and (of is None or each.segment_id in of)]
    if most is not None:
        named = nlargest(most, named, key=lambda each: each.updated_at_ms)
    return [_view(each, newest_ms, now_ms) for each in named]


def sync_view(
    segments: Sequence[HeapSegment], segment: str, now_ms: int
) -> tuple[HeapSegment | None, SyncView | None]:
    """Tell of one segment; see `sync_views`."""
    found = next((each for each in segments if each.segment_id == segment), None)
    return found, None if found is None else _view(found, newest_of(segments), now_ms)


def sync_at(segment: HeapSegment | None, time_ms: int) -> str:
    """Give the id of the sync whose page was accepted at a time; empty where it is forgotten."""
    for sync in reversed(segment.syncs if segment else ()):
        if sync.started_at_ms <= time_ms <= sync.last_page_at_ms:
            return sync.id
    return ""


def _view(segment: HeapSegment, newest_ms: int | None, now_ms: int) -> SyncView:
    now = freshness(segment, newest_ms, now_ms)
    asides = tuple(asides_of(segment))
    sync = segment.syncs[-1] if segment.syncs else None
    if sync is None:
        return SyncView(segment.segment_id, segment.name, now.status, asides=asides)
    seen = {page.number for page in sync.pages}
    total = max(sync.total_pages or 1, len(seen))
    return SyncView(
        segment.segment_id,
        segment.name,
        now.status,
        _NAMES[sync.kind],
        sync.id,
        len(seen),
        total,
        tuple(_missing(seen, sync)),
        sync.adds,
        sync.removes,
        sync.started_at_ms,
        sync.last_page_at_ms,
        now.expected_at_ms,
        asides,
    )


def _missing(seen: set[int], sync: SegmentSync) -> Iterable[int]:
    """Pages are numbered from 1 (Heap's partner webhook, `page`)."""
    return (number for number in range(1, (sync.total_pages or 0) + 1) if number not in seen)
