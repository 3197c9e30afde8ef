"""The rows of `heap.segments`, read on from where they were read to: for pages that ask often."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from consumers.segment_sync.segment_table import read_row
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.read_to_end import read_to_end
from heapline.kafka.topics import SEGMENTS, Names

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from heapline.heap.segment_record import HeapSegment
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import KafkaSettings
    from heapline.words import SegmentId, Workspace

_FETCH_WAIT_MS: Final = 20


class FollowedSegments:
    """`operations.segment_news.SegmentNews` that decodes each row once; safe to share by threads.

    What stands behind somebody's open transaction shows once that is over.
    """

    def __init__(self, kafka: KafkaSettings, schemas: SchemaSource) -> None:
        self._kafka = kafka
        self._topic = Names(kafka.prefix).topic(SEGMENTS)
        self._decoder = Decoder("HeapSegment", schemas)
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._next: dict[int, int] = {}
        self._rows: dict[Workspace, dict[SegmentId, HeapSegment]] = {}

    def of(self, workspace: Workspace) -> tuple[HeapSegment, ...]:
        """See `SegmentNews.of`."""
        with self._lock:
            self._read_on()
            rows = self._rows.get(workspace, {}).values()
            return tuple(sorted(rows, key=lambda row: (row.name, row.segment_id)))

    def close(self) -> None:
        """Read no more."""
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None

    def _read_on(self) -> None:
        if self._consumer is None:
            self._consumer = lone_consumer(
                self._kafka, "segments", **{"fetch.wait.max.ms": _FETCH_WAIT_MS}
            )
        messages = read_to_end(
            self._consumer,
            self._topic,
            starts=self._next,
            timeout_seconds=self._kafka.timeout_seconds,
        )
        for message in messages:
            self._take(message)
            self._next[message.partition() or 0] = (message.offset() or 0) + 1
        self._consumer.unassign()

    def _take(self, message: Message) -> None:
        read = read_row(message, self._decoder)
        if read is None:
            return
        (workspace, segment), row = read
        rows = self._rows.setdefault(workspace, {})
        if row is None:
            rows.pop(segment, None)
        else:
            rows[segment] = row
