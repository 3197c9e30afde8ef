"""Every segment of a workspace that may have members, now or soon.

A page that was accepted is in the topic of pages at once, and in `heap.segments` only once it is
applied. Who is to leave all segments must leave those, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException

from consumers.segment_sync.segment_table import load_segments
from heapline.clock import SystemClock
from heapline.heap.segment_keys import read_key
from heapline.heap.segment_record import SegmentStatus
from heapline.kafka.clients import consumer_config, translated
from heapline.kafka.codec import Decoder
from heapline.kafka.group_offsets import committed
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.topics import SEGMENT_PAGES, SEGMENT_SYNC_GROUP, Names
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.clock import Clock
    from heapline.heap.segment_record import HeapSegment
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import KafkaSettings

_KEY_TEXTS = 2


class KafkaAcceptedSegments:
    """Reads `heap.segments`, and of the pages those that are not applied yet."""

    def __init__(
        self, kafka: KafkaSettings, schemas: SchemaSource, clock: Clock | None = None
    ) -> None:
        self._kafka = kafka
        self._names = Names(kafka.prefix)
        self._decoder = Decoder("HeapSegment", schemas)
        self._clock = clock or SystemClock()

    def of(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """Give them, those drained already left out.

        Raises:
            TryAgainLater, NotReady: nobody can say now.
        """
        # In this order: what is applied between the two is in the rows, or among the waiting.
        waiting = self._waiting(workspace)
        rows = load_segments(self._kafka, self._names, self._decoder, self._clock)
        return to_be_drained(workspace, rows.values(), waiting)

    def _waiting(self, workspace: Workspace) -> list[SegmentId]:
        topic = self._names.topic(SEGMENT_PAGES)
        group = self._names.group(SEGMENT_SYNC_GROUP)
        consumer = Consumer(
            consumer_config(self._kafka, "accepted-segments", group)
            | {"auto.offset.reset": "earliest"}
        )
        try:
            numbers = partitions_of(consumer, topic, self._kafka.timeout_seconds)
            there = committed(consumer, topic, numbers, self._kafka.timeout_seconds)
            starts = {each.partition: each.offset for each in there if each.offset >= 0}
            messages = read_to_end(
                consumer, topic, partitions=numbers, starts=starts, clock=self._clock
            )
            named = [_named(message.key()) for message in messages]
        except KafkaException as error:
            raise translated(error) from error
        finally:
            consumer.close()
        return [each[1] for each in named if each is not None and each[0] == workspace]


def to_be_drained(
    workspace: Workspace, rows: Iterable[HeapSegment], waiting: Iterable[SegmentId]
) -> tuple[SegmentId, ...]:
    """Give a workspace's segments that may have members, or will have once a page is applied."""
    known = [
        row.segment_id
        for row in rows
        if row.workspace == workspace and row.status is not SegmentStatus.DRAINED
    ]
    return tuple(dict.fromkeys(each for each in (*sorted(known), *waiting) if each))


def _named(key: bytes | None) -> tuple[Workspace, SegmentId] | None:
    try:
        workspace, segment = read_key(key, _KEY_TEXTS)
    except ValueError:
        return None
    return Workspace(workspace), SegmentId(segment)
