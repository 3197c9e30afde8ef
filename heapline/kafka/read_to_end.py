"""Reading a topic up to the ends seen at the start, and knowing when that is done.

Offsets of topics written in transactions have holes (markers, aborted and compacted records), so
the last record's offset plus one is not the end. Read to the end means: a partition-EOF at or past
the end, or a record at the end's door or beyond it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

from heapline.clock import Clock, Deadline, SystemClock
from heapline.errors import KafkaUnavailable, NotReady
from heapline.kafka.arrivals import arrivals
from heapline.kafka.asking import ask
from heapline.kafka.clients import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from confluent_kafka import Consumer, Message, Producer
    from confluent_kafka.admin import AdminClient

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.1
STALL_SECONDS: Final = 30.0
"""A process killed inside a transaction hides the end until Kafka aborts it: 10 s after its last
sign of life, looked for every 10 s."""


class Ends:
    """Which partitions are still to be read to their end; pure state.

    Args:
        targets: for each partition the offset at which reading it is done. Where the start is
            there already, `at` says so.
    """

    def __init__(self, targets: Mapping[int, int]) -> None:
        self._targets = dict(targets)
        self._open = set(targets)
        self._read: dict[int, int] = {}

    @property
    def reached(self) -> bool:
        """Whether every partition was read to its end."""
        return not self._open

    @property
    def waiting(self) -> tuple[int, ...]:
        """Give the partitions that were not."""
        return tuple(sorted(self._open))

    def wants(self, partition: int, offset: int) -> bool:
        """Tell whether a record stood before the end; note how far the partition has come.

        One that comes again is not wanted: librdkafka starts a partition anew where it has lost its
        place.
        """
        target = self._targets.get(partition, 0)
        is_new = offset >= self._read.get(partition, 0)
        if is_new:
            self._read[partition] = offset + 1
            self.at(partition, offset + 1)
        return is_new and offset < target

    def at(self, partition: int, offset: int) -> None:
        """Note that everything before this offset was read: a partition-EOF, or a start."""
        if offset >= self._targets.get(partition, 0):
            self._open.discard(partition)


def read_to_end(
    consumer: Consumer,
    topic: str,
    *,
    partitions: Collection[int] | None = None,
    from_ms: int | None = None,
    starts: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
    ends: Mapping[int, int] | None = None,
    timeout_seconds: float = 10.0,
    stall_seconds: float = STALL_SECONDS,
    clock: Clock | None = None,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[Message]:
    """Give every record of a topic from the beginning up to the ends seen at the start.

    The consumer's assignment is replaced, and left in place afterwards; it must report
    partition-EOF (`clients.lone_consumer` does). Records come in order within a partition.

    Args:
        consumer: who reads; not in use elsewhere meanwhile.
        topic: the name with its prefix.
        partitions: only these; all of them by default.
        from_ms: start at the first record at or after this time (milliseconds since 1970-01-01
            UTC) in each partition, instead of at the beginning.
        starts: for some partitions an offset to start at instead, if it is later.
        until: for some partitions an earlier end.
        ends: for some partitions the end to read to. A consumer of committed records is told an
            end before everybody's open transactions, and what others committed behind the first
            record of one is passed over; `logs.Logs` tells the true ones.
        timeout_seconds: how long one question to the brokers may take.
        stall_seconds: how long nothing may come before this gives up.
        clock: for `stall_seconds`.
        idle: called between reads, also while nothing comes.

    Raises:
        NotReady: there is no such topic.
        KafkaUnavailable: the brokers do not answer, or nothing came for `stall_seconds`.
    """
    wanted = partitions if partitions is not None else partitions_of(consumer, topic)
    first = _starts(consumer, topic, wanted, from_ms, timeout_seconds)
    told = ends or {}
    last = {
        each: told[each] if each in told else bounds(consumer, topic, each, timeout_seconds)[1]
        for each in wanted
    }
    left = Ends({each: min(last[each], (until or {}).get(each, last[each])) for each in wanted})
    for partition, found in first.items():
        start = last[partition] if found == OFFSET_END else found
        first[partition] = max(start, (starts or {}).get(partition, start))
        left.at(partition, first[partition])
    if not left.reached:
        consumer.assign([TopicPartition(topic, each, first[each]) for each in left.waiting])
        yield from _records(consumer, topic, left, stall_seconds, clock or SystemClock(), idle)


def partitions_of(
    client: Consumer | Producer | AdminClient, topic: str, timeout_seconds: float = 10.0
) -> list[int]:
    """List a topic's partitions, whoever asks.

    Raises:
        NotReady: there is no such topic.
        KafkaUnavailable: the brokers do not answer.
    """

    def question(seconds: float) -> list[int]:
        found = client.list_topics(topic, seconds).topics[topic]
        if found.error is None:
            return sorted(found.partitions)
        if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise _missing(topic)
        raise KafkaException(found.error)

    try:
        return ask(question, timeout_seconds)
    except KafkaException as error:
        raise translated(error) from error


def _missing(topic: str) -> NotReady:
    return NotReady(f"there is no topic {topic}: run `heapline topics apply`")


def _starts(
    consumer: Consumer,
    topic: str,
    partitions: Collection[int],
    from_ms: int | None,
    timeout_seconds: float,
) -> dict[int, int]:
    """Find where to start; `OFFSET_END` where nothing is as new as `from_ms`."""
    if from_ms is None:
        return {each: bounds(consumer, topic, each, timeout_seconds)[0] for each in partitions}
    asked = [TopicPartition(topic, each, max(0, from_ms)) for each in partitions]
    try:
        found = ask(lambda seconds: _at_times(consumer, asked, seconds), timeout_seconds)
    except KafkaException as error:
        raise translated(error) from error
    return {each.partition: each.offset for each in found}


def _at_times(
    consumer: Consumer, asked: list[TopicPartition], seconds: float
) -> list[TopicPartition]:
    found = consumer.offsets_for_times(asked, seconds)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found


def bounds(
    consumer: Consumer, topic: str, partition: int, timeout_seconds: float
) -> tuple[int, int]:
    """Give where a partition starts and ends for this consumer.

    Raises:
        KafkaUnavailable: the brokers do not answer.
    """
    place = TopicPartition(topic, partition)
    try:
        return ask(
            lambda seconds: consumer.get_watermark_offsets(place, seconds, cached=False),
            timeout_seconds,
        )
    except KafkaException as error:
        raise translated(error) from error


def _records(
    consumer: Consumer,
    topic: str,
    ends: Ends,
    stall_seconds: float,
    clock: Clock,
    idle: Callable[[], None],
) -> Iterator[Message]:
    deadline = Deadline(clock, stall_seconds)
    while not ends.reached:
        idle()
        messages = arrivals(consumer, _BATCH, _POLL_SECONDS)
        for message in messages:
            if _is_record(message, ends):
                yield message
        if messages:
            deadline = Deadline(clock, stall_seconds)
        elif deadline.passed():
            raise KafkaUnavailable(
                f"{topic}: nothing came for {stall_seconds:.0f} s, and the end of partitions "
                f"{', '.join(map(str, ends.waiting))} was not reached"
            )


def _is_record(message: Message, ends: Ends) -> bool:
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error is None:
        return ends.wants(partition or 0, offset or 0)
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- librdkafka's local errors are named so
        ends.at(partition or 0, offset or 0)
        return False
    if error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION}:  # noqa: SLF001 -- as above
        raise _missing(message.topic() or "")
    raise translated(error)
