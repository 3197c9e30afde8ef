"""The rows of `heap.segments`, read on from where they were read to: for pages that ask often."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from heapline.errors import RegistryUnavailable, Undeliverable, UnknownSchema
from heapline.heap.segment_keys import read_key
from heapline.heap.segment_record import HeapSegment
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.read_to_end import read_to_end
from heapline.kafka.topics import SEGMENTS, Names
from heapline.telemetry.logs import logger
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from heapline.kafka.codec import SchemaSource
    from heapline.settings import KafkaSettings

_FETCH_WAIT_MS: Final = 20
_KEY_TEXTS: Final = 2
_log = logger(__name__)


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
        try:
            name, number = read_key(message.key(), _KEY_TEXTS)
            rows = self._rows.setdefault(Workspace(name), {})
            value = message.value()
            if value is None:
                rows.pop(SegmentId(number), None)
            else:
                rows[SegmentId(number)] = HeapSegment.from_record(self._decoder.decode(value))
        except UnknownSchema as error:
            raise RegistryUnavailable(f"a row of {self._topic}: {error}") from error
        except (ValueError, Undeliverable) as error:
            _log.error("a row of heap.segments cannot be read", error=str(error)[:200])
