"""Removing everybody from a workspace's segments, as if Heap had sent a drain for each.

The drain stands in the topic of pages like any other page, so it has its place in the order of the
segment's syncs, and a later sync brings users back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from heapline.clock import SystemClock
from heapline.heap.segment_page import Action, Call, SegmentPage
from heapline.heap.segment_record import SegmentStatus
from producers.page_log import KafkaPageLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.clock import Clock
    from heapline.heap.segment_record import HeapSegment
    from heapline.settings import Settings
    from heapline.words import SegmentId, Workspace
    from operations.segment_news import SegmentNews
    from producers.page_log import PageLog


class Drain(Protocol):
    """Empties a workspace's segments."""

    def drain(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """Write a drain for each segment that may have members; give which.

        Raises:
            TryAgainLater, NotReady: not all are written; the same again is harmless.
        """
        ...


class KafkaDrain:
    """`Drain` on the real topics."""

    def __init__(self, settings: Settings, news: SegmentNews, clock: Clock | None = None) -> None:
        self._settings = settings
        self._news = news
        self._clock = clock or SystemClock()

    def drain(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """See `Drain.drain`."""
        pages = drain_pages(self._news.of(workspace), self._clock.epoch_ms())
        if pages:
            log = KafkaPageLog(self._settings.kafka, self._settings.schema_registry)
            asyncio.run(_write(log, pages))
        return tuple(each.segment_id for each in pages)


def drain_pages(segments: Iterable[HeapSegment], now_ms: int) -> list[SegmentPage]:
    """Give a drain for each segment that is not drained already."""
    return [
        SegmentPage.of(
            Call(Action.DRAIN, segment_id=each.segment_id, segment_name=each.name),
            each.workspace,
            signed_at_ms=0,
            received_at_ms=now_ms,
        )
        for each in segments
        if each.status is not SegmentStatus.DRAINED and each.segment_id
    ]


async def _write(log: PageLog, pages: Iterable[SegmentPage]) -> None:
    try:
        await log.open()
        for page in pages:
            await log.append(page)
    finally:
        await log.close()
