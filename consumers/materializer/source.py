"""The three topics on the real Kafka: one consumer that joins no group, from positions it is given.

Positions live in the store, in the transaction of what they stand for; Kafka keeps none.
"""

from __future__ import annotations

from itertools import compress, count, islice
from operator import ne
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from consumers.materializer.assembler import MEMBERSHIPS, OUTCOMES, SEGMENTS
from consumers.materializer.brokers import look
from consumers.materializer.decoding import RecordReader, count_unreadable
from consumers.materializer.parts import ChangesRead, EndRead, OutcomesRead, Part, RowRead
from heapline.errors import KafkaUnavailable, NotReady, RegistryUnavailable
from heapline.kafka import topics
from heapline.kafka.arrivals import arrivals
from heapline.kafka.clients import admin, lone_consumer, translated
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from consumers.materializer.starting import There
    from heapline.erasures import Erasures
    from heapline.kafka.codec import SchemaSource
    from heapline.kafka.topics import Names
    from heapline.settings import KafkaSettings

READ: Final = {
    MEMBERSHIPS: topics.MEMBERSHIPS,
    SEGMENTS: topics.SEGMENTS,
    OUTCOMES: topics.OUTCOME_COUNTS,
}
COMPACTED: Final = (MEMBERSHIPS, SEGMENTS)
READ_AT_ONCE: Final = 10_000
_FETCHING: Final[dict[str, Any]] = {
    # The end of a quiet partition is noticed after one such wait.
    "fetch.wait.max.ms": 100,
    # librdkafka waits for a second before it asks again, where its own queue was full.
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 65_536,
    "fetch.message.max.bytes": topics.SEGMENT_BYTES,
    "fetch.max.bytes": 64 * 1024 * 1024,
    # Where the log no longer holds what comes next is decided anew, never jumped over.
    "auto.offset.reset": "error",
}
_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 -- librdkafka's local errors are named so
_DISPLACED: Final = (
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 -- as above
    KafkaError.OFFSET_OUT_OF_RANGE,
)
_GONE: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- as above
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- as above
)
_log = logger(__name__)


class Displaced(KafkaUnavailable):
    """The log no longer holds what was to be read next: where to go on is to be decided anew."""


class Reading(Protocol):
    """Records as they come."""

    def open(self, positions: Mapping[tuple[str, int], int], *, whole_pages: bool = True) -> None:
        """Read on from these places, by topic and partition.

        Args:
            positions: where.
            whole_pages: tell where pages end; else they end anywhere, and reading is quicker.
        """
        ...

    def read(self, timeout_seconds: float) -> list[Part]:
        """Give what came, waiting up to so long for a first record.

        Raises:
            Displaced: see there.
            NotReady: a topic is gone.
            RegistryUnavailable: the next record needs it; it is kept, and read by the next call.
        """
        ...

    def close(self) -> None:
        """Let go of the brokers."""
        ...


class Source(Reading, Protocol):
    """Where records come from."""

    def there(self) -> There:
        """Tell what the brokers have now.

        Raises:
            KafkaUnavailable: they do not answer.
            NotReady: a topic is missing.
        """
        ...


class KafkaSource:
    """`Source` on the real Kafka.

    Args:
        settings: how to reach it.
        names: of the topics.
        schemas: the registry.
        erasures: whose data was erased.
        unreadable: told of each record that is passed over, what it should have been.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Names,
        schemas: SchemaSource,
        erasures: Erasures | None = None,
        unreadable: Callable[[str], None] = count_unreadable,
    ) -> None:
        self._erasures, self._unreadable = erasures, unreadable
        self._timeout = settings.timeout_seconds
        self._schemas = schemas
        self._reader = RecordReader(schemas, 1)
        self._whole_pages = True
        self._whats = {names.topic(topic): what for what, topic in READ.items()}
        self._admin = admin(settings)
        self._consumer: Consumer = lone_consumer(settings, "materializer", **_FETCHING)
        self._unread: list[Message] = []

    def there(self) -> There:
        """See `Source.there`."""
        compacted = [name for name, what in self._whats.items() if what in COMPACTED]
        return look(self._admin, tuple(self._whats), compacted, self._timeout)

    def open(self, positions: Mapping[tuple[str, int], int], *, whole_pages: bool = True) -> None:
        """See `Reading.open`."""
        self._unread.clear()
        partitions = sum(self._whats[topic] == MEMBERSHIPS for topic, _ in positions)
        self._reader = RecordReader(self._schemas, partitions, self._erasures, self._unreadable)
        self._whole_pages = whole_pages
        self._consumer.assign(
            [TopicPartition(topic, number, at) for (topic, number), at in positions.items()]
        )

    def read(self, timeout_seconds: float) -> list[Part]:
        """See `Reading.read`."""
        if not self._unread:
            self._unread = arrivals(self._consumer, READ_AT_ONCE, timeout_seconds)
        parts: list[Part] = []
        taken = 0
        try:
            for neighbours in neighbourhoods(self._unread):
                first = neighbours[0]
                if first.error() is not None:
                    parts += self._ends(neighbours)
                else:
                    what, partition = self._whats[first.topic() or ""], first.partition() or 0
                    parts += self._parts(what, partition, neighbours)
                taken += len(neighbours)
        except RegistryUnavailable:
            if not parts:
                raise
        finally:
            del self._unread[:taken]
        return parts

    def close(self) -> None:
        """See `Reading.close`."""
        self._consumer.close()

    def _parts(self, what: str, partition: int, messages: list[Message]) -> Iterable[Part]:
        if what == MEMBERSHIPS:
            run = self._reader.changes(messages, whole_pages=self._whole_pages)
            return [ChangesRead(partition, run)]
        if what == SEGMENTS:
            return [RowRead(partition, m.offset() or 0, self._reader.row(m)) for m in messages]
        return [
            OutcomesRead(partition, m.offset() or 0, self._reader.outcomes(m)) for m in messages
        ]

    def _ends(self, messages: list[Message]) -> Iterable[Part]:
        return [
            EndRead(self._whats[each.topic() or ""], each.partition() or 0, each.offset() or 0)
            for each in messages
            if _is_end(each)
        ]


def neighbourhoods(messages: list[Message]) -> Iterator[list[Message]]:
    """Divide what was read where the partition changes, or records and errors do."""
    columns: tuple[list[object], ...] = (
        [*map(Message.topic, messages)],
        [*map(Message.partition, messages)],
        [error is None for error in map(Message.error, messages)],
    )
    cuts = {
        place
        for column in columns
        if column and column.count(column[0]) != len(column)  # mostly all are of one partition
        for place in compress(count(1), map(ne, column, islice(column, 1, None)))
    }
    start = 0
    for place in sorted(cuts):
        yield messages[start:place]
        start = place
    if messages:
        yield messages[start:]


def _is_end(message: Message) -> bool:
    """Tell whether this error is a partition's end; others are logged, or raised if they end us."""
    error = message.error()
    if error is None or error.code() == _END:
        return error is not None
    name = f"{message.topic()}[{message.partition()}]"
    if error.code() in _DISPLACED:
        raise Displaced(f"{name} no longer holds what was to be read next ({error.str()})")
    if error.code() in _GONE:
        raise NotReady(f"topic {message.topic()} is gone: run `heapline topics apply`")
    if error.fatal():
        raise translated(error)
    _log.warning("kafka", error=error.name(), detail=error.str()[:200])
    return False
