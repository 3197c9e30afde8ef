"""One checkpoint as one Kafka transaction, carried through whatever the brokers do.

Each `step` does as much as its deadline allows and comes back, so that the loop keeps polling while
brokers are away. Errors are of four kinds (librdkafka says which): worth trying again, to be
aborted and written anew, fatal, and *unknown*: a commit whose answer was lost. After the last, a
new producer under the same transactional id settles the old transaction first, and the group's
committed offsets tell which way.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.forwarder.checkpoint import Checkpoint, outcome_counts
from heapline.clock import Deadline
from heapline.errors import Fenced, MustStop
from heapline.kafka import topics
from heapline.kafka.clients import told_in_full, translated
from heapline.kafka.headers import foreign
from heapline.kafka.sending_offsets import send_offsets
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from confluent_kafka import Producer

    from consumers.forwarder.record import Partition, Record
    from heapline.clock import Clock
    from heapline.kafka.codec import Encoder
    from heapline.kafka.topics import Names

_TRANSACTION_TIMEOUT_SECONDS: Final = 8.0
"""A little less than `transaction.timeout.ms`: past it, the broker itself may have ended the
transaction and fenced us, and calls about it may never succeed."""
_SLICE_SECONDS: Final = 3.0
_log = logger(__name__)


class Group(Protocol):
    """What a transaction needs of the consumer group."""

    def group_metadata(self) -> object:
        """Give the consumer's membership, as librdkafka wants it."""
        ...

    def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Give the group's committed offsets; negative where there is none."""
        ...


class _Phase(Enum):
    IDLE = auto()
    WRITE = auto()
    OFFSETS = auto()
    COMMIT = auto()
    ABORT = auto()
    REBUILD = auto()
    ASK = auto()


class CheckpointWriter:
    """Writes one checkpoint at a time.

    Args:
        make_producer: makes a transactional producer, always with the same transactional id.
        names: of the topics.
        encoder: for `OutcomeCounts`.
        group: the consumer group whose offsets are committed.
        clock: for deadlines.
    """

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        names: Names,
        encoder: Encoder,
        group: Group,
        clock: Clock,
    ) -> None:
        self._make_producer = make_producer
        self._names = names
        self._encoder = encoder
        self._group = group
        self._clock = clock
        self._producer: Producer | None = None
        self._phase = _Phase.IDLE
        self._checkpoint = Checkpoint()
        self._begun_at = 0.0
        self._is_new = False
        """Whether the producer was made by a rebuild and is not initialised yet."""
        self._unanswered = False
        """Whether offsets were sent and no answer came: brokers may yet get to them."""
        self.failures = 0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is under way."""
        return self._phase is not _Phase.IDLE

    def start(self, timeout_seconds: float) -> None:
        """Fence whoever ran under this id before, and settle what they left behind.

        Raises:
            KafkaUnavailable: the brokers did not answer in time; call again.
            MustStop: they refuse.
        """
        if self._producer is None:
            self._producer = self._make_producer()
        try:
            self._producer.init_transactions(timeout_seconds)
        except KafkaException as error:
            raise translated(error) from error

    def begin(self, checkpoint: Checkpoint) -> None:
        """Take on a checkpoint; `step` carries it through.

        Raises:
            ValueError: another one is under way.
        """
        if self.busy:
            raise ValueError("a checkpoint is under way")
        self._checkpoint = checkpoint
        self._phase = _Phase.WRITE

    def forget(self, partitions: Collection[Partition]) -> Checkpoint:
        """Leave out partitions that were handed over; give their share.

        What an open transaction says of these records must not be committed without their offsets:
        unless those are in it already, it is given up and the rest written anew.
        """
        gone = self._checkpoint.only(partitions)
        if gone.partitions:
            self._checkpoint = self._checkpoint.without(partitions)
            if self._phase is _Phase.OFFSETS:
                self._give_up()
        return gone

    def step(self, timeout_seconds: float = _SLICE_SECONDS) -> Checkpoint | None:
        """Go on; give the checkpoint once it is committed, None while it is not.

        Raises:
            Fenced: another process took over the transactional id.
            MustStop: any other fatal error.
        """
        if not self.busy:
            return None
        try:
            return self._step(timeout_seconds)
        except KafkaException as error:
            self._failed(told_in_full(error, self._ready()))
            return None

    def _step(self, timeout: float) -> Checkpoint | None:
        if self._phase is _Phase.REBUILD:
            self._rebuild(timeout)
            self._phase = _Phase.ASK
        if self._phase is _Phase.ASK:
            if self._is_committed():
                return self._done()
            self._phase = _Phase.WRITE
        if self._phase is _Phase.ABORT:
            self._ready().abort_transaction(timeout)
            self._phase = _Phase.WRITE
            return None
        if self._phase is _Phase.WRITE:
            if not self._checkpoint.partitions:
                return self._done()
            self._begun_at, self._unanswered = self._clock.monotonic(), False
            self._ready().begin_transaction()
            self._phase = _Phase.ABORT  # where a failure in the middle of writing leads
            self._write(Deadline(self._clock, timeout))
            self._phase = _Phase.OFFSETS
        if self._phase is _Phase.OFFSETS:
            send_offsets(self._ready(), self._offsets(), self._group.group_metadata(), timeout)
            self._phase = _Phase.COMMIT
        if self._phase is _Phase.COMMIT:
            self._ready().commit_transaction(timeout)
        return self._done()

    def _done(self) -> Checkpoint:
        checkpoint, self._checkpoint = self._checkpoint, Checkpoint()
        self._phase = _Phase.IDLE
        self.failures = 0
        return checkpoint

    def _failed(self, error: KafkaException) -> None:
        """Choose the phase to go on with after an error."""
        self.failures += 1
        cause: KafkaError = error.args[0]
        _log.warning("checkpoint delayed", phase=self._phase.name, error=cause.name())
        fatal = cause.fatal() or isinstance(translated(error), Fenced)
        if self._phase is _Phase.OFFSETS and cause.code() not in _REFUSALS:
            self._unanswered = True
        if self._phase is _Phase.REBUILD:
            self._is_new = self._is_new and not fatal
        elif self._phase is _Phase.ASK:
            pass  # nothing is open; it is asked again
        elif self._clock.monotonic() - self._begun_at >= _TRANSACTION_TIMEOUT_SECONDS:
            self._phase = _Phase.REBUILD
        elif cause.txn_requires_abort():
            self._give_up()
        elif fatal:
            raise translated(error) from error
        elif not cause.retriable() and cause.code() not in _PASSING:
            raise MustStop(f"the checkpoint cannot be written: {cause.str()}") from error

    def _give_up(self) -> None:
        """Choose how to get rid of what is open.

        Offsets that reach the brokers after an abort may get into the next transaction of the same
        producer, whatever that is about; those of a producer that was replaced are refused.
        """
        self._phase = _Phase.REBUILD if self._unanswered else _Phase.ABORT

    def _rebuild(self, timeout: float) -> None:
        """Start over with a new producer, which settles what the one before left open."""
        if self._producer is None or not self._is_new:
            if self._producer is not None:
                self._producer.purge(blocking=False)
            self._producer = self._make_producer()
            self._is_new = True
        self._producer.init_transactions(timeout)
        self._is_new = False

    def _is_committed(self) -> bool:
        """Ask the group which way the transaction went that a rebuild has settled.

        That may fail and be asked again, but the new producer must not be initialised again: to
        librdkafka that is an error for ever.
        """
        ours = {p: settled.offset for p, settled in self._checkpoint.partitions.items()}
        there = self._group.committed(list(ours))
        return all(there.get(partition, -1) >= offset for partition, offset in ours.items())

    def _write(self, deadline: Deadline) -> None:
        for record in self._checkpoint.records():
            if record.letter is not None:
                self._produce_moved(deadline, topics.DLQ, record, record.letter.headers(), None)
            elif record.next_deferral is not None:
                number, headers = record.partition.number, record.next_deferral.headers()
                self._produce_moved(deadline, topics.DEFERRED, record, headers, number)
        for counts in outcome_counts(self._checkpoint):
            self._produce(
                deadline,
                topics.OUTCOME_COUNTS,
                key=counts["workspace"].encode(),
                value=self._encoder.encode(counts),
            )

    def _produce_moved(
        self,
        deadline: Deadline,
        topic: topics.Topic,
        record: Record,
        headers: list[tuple[str, bytes]],
        partition: int | None,
    ) -> None:
        self._produce(
            deadline,
            topic,
            key=record.key,
            value=record.value,
            headers=[*foreign(record.headers), *headers],
            **({} if partition is None else {"partition": partition}),
        )

    def _produce(self, deadline: Deadline, topic: topics.Topic, **message: object) -> None:
        """Hand one record to librdkafka, whose queue may be full while the brokers are away."""
        producer, name = self._ready(), self._names.topic(topic)
        while True:
            try:
                producer.produce(name, **message)  # type: ignore[arg-type]  # the stubs know no **
            except BufferError as error:
                if deadline.passed():
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error  # noqa: SLF001 -- so named by librdkafka
                producer.poll(0.1)
            else:
                producer.poll(0)
                return

    def _offsets(self) -> list[TopicPartition]:
        return [
            TopicPartition(p.topic, p.number, settled.offset, settled.topic_id)
            for p, settled in self._checkpoint.partitions.items()
        ]

    def _ready(self) -> Producer:
        if self._producer is None:
            raise MustStop("the checkpoint writer was not started")
        return self._producer


_REFUSALS: Final = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 -- librdkafka's local errors are named so
)
"""Answers to offsets that were not taken; the last is our own, before they are sent."""
_PASSING: Final = (
    KafkaError._TIMED_OUT,  # noqa: SLF001 -- librdkafka's local errors are named so
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._IN_PROGRESS,  # noqa: SLF001
    KafkaError._CONFLICT,  # noqa: SLF001
    KafkaError._PREV_IN_PROGRESS,  # noqa: SLF001
    KafkaError._QUEUE_FULL,  # noqa: SLF001
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
