"""The rows of `heap.segments`, loaded when a partition of pages is taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from heapline.errors import RegistryUnavailable, Undeliverable, UnknownSchema
from heapline.heap.segment_keys import read_key
from heapline.heap.segment_record import HeapSegment
from heapline.kafka.clients import admin, lone_consumer, translated
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.topics import SEGMENTS
from heapline.telemetry.logs import logger
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from collections.abc import Collection

    from confluent_kafka import Message

    from consumers.segment_sync.writes import Key
    from heapline.clock import Clock
    from heapline.kafka.codec import Decoder
    from heapline.kafka.topics import Names
    from heapline.settings import KafkaSettings

_log = logger(__name__)
_KEY_TEXTS = 2


def load_segments(
    settings: KafkaSettings, names: Names, decoder: Decoder, clock: Clock
) -> dict[Key, HeapSegment]:
    """Give every row, as committed by now; also those behind others' open transactions.

    Raises:
        NotReady: there is no such topic.
        KafkaUnavailable, RegistryUnavailable: nobody answers.
    """
    consumer = lone_consumer(settings, "segment-sync-table")
    topic = names.topic(SEGMENTS)
    rows: dict[Key, HeapSegment] = {}
    try:
        numbers = partitions_of(consumer, topic, settings.timeout_seconds)
        ends = Logs(admin(settings), settings.timeout_seconds).ends(topic, numbers)
        for message in read_to_end(consumer, topic, partitions=numbers, ends=ends, clock=clock):
            read = read_row(message, decoder)
            if read is None:
                continue
            key, row = read
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    except KafkaException as error:
        raise translated(error) from error
    finally:
        consumer.close()
    return rows


def read_row(message: Message, decoder: Decoder) -> tuple[Key, HeapSegment | None] | None:
    """Read one record of the table: which row, and what it is now; None if it cannot be read.

    Without it the order of that segment's syncs is forgotten: said, and gone on.

    Raises:
        RegistryUnavailable: the registry does not know its schema, or does not answer.
    """
    try:
        workspace, segment = read_key(message.key(), _KEY_TEXTS)
        value = message.value()
        row = None if value is None else HeapSegment.from_record(decoder.decode(value))
    except UnknownSchema as error:
        raise RegistryUnavailable(f"a row of {message.topic()}: {error}") from error
    except (ValueError, Undeliverable) as error:
        _log.error("a row of heap.segments cannot be read", error=str(error)[:200])
        return None
    return (Workspace(workspace), SegmentId(segment)), row


def of_partitions(
    rows: dict[Key, HeapSegment], partitions: Collection[int]
) -> dict[Key, HeapSegment]:
    """Give the rows whose pages stand in these partitions."""
    return {key: row for key, row in rows.items() if row.pages_partition in partitions}
