"""Removing everybody from a workspace's segments, as if Heap had sent a drain for each.

The drain stands in the topic of pages like any other page, so it has its place in the order of the
segment's syncs, and a later sync brings users back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from heapline.clock import SystemClock
from operations.accepted_segments import KafkaAcceptedSegments
from producers.drains import drain_segments

if TYPE_CHECKING:
    from heapline.clock import Clock
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import Settings
    from heapline.words import SegmentId, Workspace


class Drain(Protocol):
    """Empties a workspace's segments."""

    def drain(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """Write a drain for each segment that may have members, now or soon; give which.

        Raises:
            TryAgainLater, NotReady: not all are written; the same again is harmless.
        """
        ...


class KafkaDrain:
    """`Drain` on the real topics."""

    def __init__(
        self, settings: Settings, schemas: SchemaSource, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._accepted = KafkaAcceptedSegments(settings.kafka, schemas, self._clock)

    def drain(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """See `Drain.drain`."""
        segments = self._accepted.of(workspace)
        if segments:
            drain_segments(self._settings, workspace, segments, self._clock.epoch_ms())
        return segments
