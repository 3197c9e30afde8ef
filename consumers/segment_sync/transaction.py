"""One transaction: changes, the rows that name them, and the input's offsets, all or nothing.

Whatever fails here ends the session; the next one starts from what Kafka holds, and the producer's
initialisation settles what this one left open. So there is nothing to be repaired in memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from heapline.clock import Deadline
from heapline.errors import KafkaUnavailable
from heapline.heap.membership_record import PAGE_ENDS, leave_headers
from heapline.heap.segment_keys import memberships_partition, segment_key
from heapline.kafka.clients import told_in_full, transactional_producer, translated
from heapline.kafka.sending_offsets import send_offsets
from heapline.kafka.topics import MEMBERSHIPS, SEGMENT_BYTES, SEGMENT_PAGES, SEGMENTS, Names
from heapline.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message, Producer

    from consumers.segment_sync.writes import Key, PageChanges, Writes
    from heapline.clock import Clock
    from heapline.heap.segment_record import HeapSegment
    from heapline.kafka.codec import Encoder
    from heapline.kafka.headers import Headers
    from heapline.settings import KafkaSettings

SECONDS: Final = 8.0
"""Less than `transaction.timeout.ms`: the broker must not abort what is being committed."""

_NO_HEADERS: Final[Headers] = []
_MANY: Final[dict[str, int]] = {
    "message.max.bytes": 2 * SEGMENT_BYTES,
    # Records of a transaction come by the thousand, and `flush` waits for no more of them: whoever
    # sends the first ones alone costs brokers and readers as much for a few as for all.
    "linger.ms": 100,
}


class Group(Protocol):
    """The consumer's membership, as transactions need it."""

    def group_metadata(self) -> object:
        """See `confluent_kafka.Consumer.consumer_group_metadata`."""
        ...

    def topic_id(self) -> str:
        """Give the id of the topic of pages, which goes with every offset."""
        ...


def make_producer(settings: KafkaSettings, transactional_id: str) -> Producer:
    """Make the producer of a process with this transactional id."""
    return transactional_producer(settings, "segment-sync", transactional_id, **_MANY)


class Transactions:
    """Writes transactions under one stable transactional id.

    Args:
        producer: transactional, under this process's stable id.
        names: of topics.
        memberships, segments: encode the two topics' values.
        membership_partitions: how many the topic has.
    """

    def __init__(
        self,
        producer: Producer,
        names: Names,
        memberships: Encoder,
        segments: Encoder,
        membership_partitions: int,
        clock: Clock,
    ) -> None:
        self._memberships = memberships
        self._segments = segments
        self._names = names
        self._partitions = membership_partitions
        self._clock = clock
        self._failure: KafkaError | None = None
        self._producer = producer

    def start(self, timeout_seconds: float) -> None:
        """Settle what an earlier run left open, and shut out its zombie.

        Raises:
            KafkaUnavailable: the brokers do not answer.
            MustStop: they forbid it.
        """
        try:
            self._producer.init_transactions(timeout_seconds)
        except KafkaException as error:
            raise translated(error) from error

    def commit(self, writes: Writes, group: Group) -> dict[Key, HeapSegment]:
        """Write it all in one transaction; give the rows as written.

        Raises:
            KafkaUnavailable: it was not committed, or nobody knows; start anew.
            Fenced, MustStop: another process took over.
        """
        deadline = Deadline(self._clock, SECONDS)
        try:
            return self._commit(writes, group, deadline)
        except KafkaException as error:
            if deadline.passed():
                # The broker itself may have ended the transaction, and that looks like a fence.
                raise KafkaUnavailable(f"a transaction took too long: {error}") from error
            raise translated(told_in_full(error, self._producer)) from error

    def _commit(self, writes: Writes, group: Group, deadline: Deadline) -> dict[Key, HeapSegment]:
        producer = self._producer
        producer.begin_transaction()
        ends: dict[Key, int] = {}
        for page in writes.pages:
            self._write_page(page, ends, deadline)
        left = producer.flush(deadline.left())
        if self._failure is not None:
            raise translated(told_in_full(KafkaException(self._failure), producer))
        if left:
            raise KafkaUnavailable("the brokers did not acknowledge memberships in time")
        rows = {
            key: replace(row, memberships_offset=ends.get(key, row.memberships_offset))
            for key, row in writes.rows.items()
        }
        for key, row in rows.items():
            self._produce(
                deadline,
                self._names.topic(SEGMENTS),
                key=segment_key(*key),
                value=self._segments.encode(row.to_record()),
            )
        if writes.offsets:
            topic, topic_id = self._names.topic(SEGMENT_PAGES), group.topic_id()
            send_offsets(
                producer,
                [TopicPartition(topic, p, o, topic_id) for p, o in writes.offsets.items()],
                group.group_metadata(),
                deadline.left(),
            )
        producer.commit_transaction(deadline.left())
        for page in writes.pages:
            metrics.SEGMENT_CHANGES.labels("enter").inc(len(page.enters))
            metrics.SEGMENT_CHANGES.labels("leave").inc(len(page.leaves))
        return rows

    def _write_page(self, page: PageChanges, ends: dict[Key, int], deadline: Deadline) -> None:
        topic, produce = self._names.topic(MEMBERSHIPS), self._producer.produce
        partition = memberships_partition(page.workspace, self._partitions)
        *before, last = self._records(page)
        of_leaves = leave_headers(page.at_ms, page.sync)
        for key, value in before:
            headers = of_leaves if value is None else _NO_HEADERS
            try:  # the plainest call there is: it costs a third less, a million times
                produce(topic, value, key, partition, headers=headers)  # type: ignore[arg-type]  # lists
            except BufferError:
                self._produce(deadline, topic, value, key, partition, headers=headers)
        headers = [*(of_leaves if last[1] is None else _NO_HEADERS), *PAGE_ENDS]
        self._produce(
            deadline, topic, last[1], last[0], partition, self._ended(page, ends), headers=headers
        )

    def _records(self, page: PageChanges) -> Iterator[tuple[bytes, bytes | None]]:
        """Give keys and values; plain bytes, since there are many."""
        workspace, segment, dumps = page.workspace, page.segment, orjson.dumps
        value = self._memberships.encode({"entered_at": page.at_ms, "sync_task_id": page.sync})
        for user in page.enters:
            yield dumps((workspace, user, segment)), value
        for user in page.leaves:
            yield dumps((workspace, user, segment)), None

    def _ended(
        self, page: PageChanges, ends: dict[Key, int]
    ) -> Callable[[KafkaError | None, Message], None]:
        def ended(error: KafkaError | None, message: Message) -> None:
            if error is None:
                ends[page.workspace, page.segment] = message.offset() or 0
            else:
                self._failure = error

        return ended

    def _produce(self, deadline: Deadline, *record: object, **more: object) -> None:
        """Hand one record to librdkafka, whose queue may be full."""
        while True:
            try:
                self._producer.produce(*record, **more)  # type: ignore[arg-type]  # stubs know no **
            except BufferError as error:
                if deadline.passed():
                    raise KafkaUnavailable("the brokers do not take what is written") from error
                self._producer.poll(0.05)
            else:
                return

    def close(self) -> None:
        """Give up what is not committed; a later start settles it."""
        self._producer.purge()
        self._producer.flush(1)
