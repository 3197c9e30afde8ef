"""Draining a segment by hand: the same page Heap would send, under an id of its own."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from heapline.heap.segment_page import Action, Call, SegmentPage
from producers.page_log import KafkaPageLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.kafka.position import Position
    from heapline.settings import Settings
    from heapline.words import SegmentId, Workspace
    from producers.page_log import PageLog

PREFIX = "by-hand-"
"""What the ids of such drains begin with."""


def drain_page(workspace: Workspace, segment: SegmentId, drain: str, now_ms: int) -> SegmentPage:
    """Make the page that lets everybody leave a segment.

    Args:
        workspace: whose.
        segment: which.
        drain: an id no other drain of the segment has; the same again is a retry.
        now_ms: when everybody leaves, milliseconds since 1970-01-01 UTC.
    """
    call = Call(Action.DRAIN, segment_id=segment, sync_task_id=drain)
    return SegmentPage.of(call, workspace, signed_at_ms=now_ms, received_at_ms=now_ms)


async def write_drains(
    log: PageLog, workspace: Workspace, segments: Sequence[SegmentId], now_ms: int
) -> list[Position]:
    """Write drains of segments; give where they stand once the brokers hold them.

    Raises:
        TryAgainLater, NotReady: see `PageLog`; those written before stay written.
    """
    await log.open()
    try:
        drain = f"{PREFIX}{uuid.uuid4()}"
        return [
            await log.append(drain_page(workspace, segment, drain, now_ms)) for segment in segments
        ]
    finally:
        await log.close()


def drain_segments(
    settings: Settings, workspace: Workspace, segments: Sequence[SegmentId], now_ms: int
) -> list[Position]:
    """Drain segments through the real topic; see `write_drains`."""

    async def through() -> list[Position]:
        log = KafkaPageLog(settings.kafka, settings.schema_registry)
        return await write_drains(log, workspace, segments, now_ms)

    return asyncio.run(through())
