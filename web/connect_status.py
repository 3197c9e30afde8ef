"""What has come from Heap, as the page after Allow shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from heapline.heap.freshness import freshness, newest_of
from operations.segment_news import asides_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.heap.segment_record import HeapSegment


def status_of(segments: Sequence[HeapSegment], now_ms: int) -> dict[str, Any]:
    """Give the segments that have arrived, and the pages that need a repair."""
    newest_ms = newest_of(segments)
    named = [each for each in segments if each.segment_id]
    asides = [aside for each in segments for aside in asides_of(each)]
    return {
        "segments": [_segment(each, newest_ms, now_ms) for each in named],
        "asides": [
            {
                "segment": each.segment_name or each.segment_id or "(none named)",
                "at": _time(each.at_ms),
                "reason": each.reason,
                "repair": each.repair,
            }
            for each in asides
        ],
    }


def _segment(segment: HeapSegment, newest_ms: int | None, now_ms: int) -> dict[str, Any]:
    fresh = freshness(segment, newest_ms, now_ms)
    sync = segment.syncs[-1] if segment.syncs else None
    return {
        "name": segment.name or segment.segment_id,
        "status": str(fresh.status),
        "rhythm": str(fresh.rhythm),
        "pages": len(sync.pages) if sync else 0,
        "total": (sync.total_pages if sync else None) or 1,
        "adds": sync.adds if sync else 0,
        "removes": sync.removes if sync else 0,
        "at": _time(segment.updated_at_ms),
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
