"""Where the forwarder's records come from: its share of the events and of the deferred topic.

The events topic is subscribed to; the deferred topic is read by a second consumer of the same group
id whose partitions are assigned by hand, so that both are owned together and their offsets can be
committed in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.forwarder.columns import FEWEST
from consumers.forwarder.deferral import read_deferral
from consumers.forwarder.long_read import LongRead
from consumers.forwarder.membership import is_without_generation
from consumers.forwarder.offsets import OffsetTracker
from consumers.forwarder.record import Partition, Record
from heapline.clock import Deadline
from heapline.errors import KafkaUnavailable, MustStop, NotReady, RecordsLost
from heapline.kafka import topics
from heapline.kafka.clients import admin, consumer_config, translated
from heapline.kafka.headers import foreign
from heapline.kafka.logs import Logs
from heapline.kafka.starting_point import NEVER_COMMITTED, Log, starting_point
from heapline.outcomes import Source
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from confluent_kafka.admin import AdminClient

    from consumers.forwarder.columns import Columns
    from heapline.clock import Clock
    from heapline.kafka.topics import Names
    from heapline.settings import KafkaSettings

READ_AT_ONCE: Final = 1_000
_DECIDED_AT_ONCE: Final = 8_000
"""Decoded and mapped in one go: enough to make the price of columns small, few enough to be soon
over."""
_PAUSE_AFTER_SECONDS: Final = 1.0
_POSITIONS_SECONDS: Final = 30.0
"""The open transaction of a killed process hides its offsets: for 10 s, looked for every 10 s."""
_log = logger(__name__)


class Batch(NamedTuple):
    """What one read gave.

    Attributes:
        records: in the order of each partition.
        ends: partitions whose end was reached after these records, and the offset of the end.
        columns: many records at once, of which none is among `records`.
    """

    records: list[Record]
    ends: list[tuple[Partition, int]]
    columns: Columns | None = None

    def events(self) -> int:
        """How many there are."""
        return len(self.records) + (len(self.columns) if self.columns else 0)


class Owner(Protocol):
    """Who is told of partitions coming and going."""

    def settle(self) -> None:
        """Finish the checkpoint under way: nobody can read offsets that an open one holds."""
        ...

    def assigned(self, trackers: Mapping[Partition, OffsetTracker]) -> None:
        """Take partitions over."""
        ...

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Finish and write down what can be, then give partitions up."""
        ...

    def lost(self, partitions: Collection[Partition]) -> None:
        """Give partitions up: somebody else has them already."""
        ...


class KafkaSource:
    """The two consumers.

    Args:
        settings: how to reach Kafka.
        names: of topics and group.
        clock: for the time of reading.
        session_timeout_seconds: silence after which the group takes a member's partitions.
        poll_timeout_seconds: the same for a member that does not read; at least as long.
        accept_loss: go on although the log no longer holds what was not read.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Names,
        clock: Clock,
        *,
        session_timeout_seconds: float = 10.0,
        poll_timeout_seconds: float = 300.0,
        accept_loss: bool = False,
    ) -> None:
        self._timeout = settings.timeout_seconds
        self._clock = clock
        self._accept_loss = accept_loss
        self._events = names.topic(topics.EVENTS)
        self._deferred = names.topic(topics.DEFERRED)
        self._admin: AdminClient = admin(settings)
        self._logs = Logs(self._admin, settings.timeout_seconds)
        config = consumer_config(settings, "forwarder", names.group(topics.FORWARDER_GROUP))
        session_ms = int(session_timeout_seconds * 1000)
        self._main = Consumer(
            config
            | _SUBSCRIBED
            | {"session.timeout.ms": session_ms, "heartbeat.interval.ms": session_ms // 5}
            | {"max.poll.interval.ms": max(session_ms, int(poll_timeout_seconds * 1000))}
        )
        self._second = Consumer(config | _BOUNDED | _UNHURRIED)
        self._owner: Owner | None = None
        self._reading: LongRead[Message] | None = None
        self._pause_at: float | None = None
        """When partitions pause, if no more is to be read."""
        self._paused = False
        self.assigned_once = False
        self.partition_count = 0

    def check_topics(self) -> None:
        """See that the topics are there and fit together.

        Raises:
            KafkaUnavailable: no broker answers.
            NotReady: one is missing, or the partition counts differ.
        """
        try:
            there = self._admin.list_topics(timeout=self._timeout).topics
        except KafkaException as error:
            raise KafkaUnavailable(
                f"no Kafka answers: {error.args[0].str()}. Set HEAPLINE_KAFKA__BOOTSTRAP_SERVERS, "
                "or start the embedded one with `heapline dev up`"
            ) from error
        for name in (self._events, self._deferred):
            if name not in there:
                raise NotReady(f"topic {name} is missing: run `heapline topics apply`")
        counts = {len(there[name].partitions) for name in (self._events, self._deferred)}
        if len(counts) > 1:
            raise NotReady(
                f"{self._events} and {self._deferred} have different partition counts {counts}: "
                "`heapline topics check` tells more"
            )
        self.partition_count = counts.pop()

    def subscribe(self, owner: Owner) -> None:
        """Join the group; partitions arrive during later reads."""
        self._owner = owner
        self._main.subscribe(
            [self._events],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    # --- reading --------------------------------------------------------------------------------

    def read(
        self, timeout_seconds: float, trackers: Mapping[Partition, OffsetTracker], wanted: int
    ) -> Batch:
        """Read events, as many as are best decided at once; wait until so many are there."""
        if self._pause_at is not None and not self._paused:
            self._clock.sleep(timeout_seconds)
            return Batch([], [])
        reading = self._reading = LongRead(lambda n: Partition(self._events, n) in trackers)
        count = reading.take(lambda: self._main.consume(wanted, timeout_seconds))
        while count == wanted and len(reading.messages) < _DECIDED_AT_ONCE:
            wanted = READ_AT_ONCE
            count = reading.take(lambda: self._main.consume(READ_AT_ONCE, 0.0))
        if len(reading.messages) < FEWEST:
            return self._records(reading.messages, trackers, None)
        return self._columns(reading.messages, trackers)

    def _columns(
        self, messages: list[Message], trackers: Mapping[Partition, OffsetTracker]
    ) -> Batch:
        from consumers.forwarder.message_columns import columns_of  # noqa: PLC0415 -- needs numpy

        ends = []
        if any(map(Message.error, messages)):
            errors = [message for message in messages if message.error() is not None]
            ends = self._records(errors, trackers, None).ends
            messages = [message for message in messages if message.error() is None]
        owned = {p: t.position for p, t in trackers.items() if p.topic == self._events}
        return Batch([], ends, columns_of(messages, owned, self._clock.monotonic()))

    def read_deferred(self, now_ms: int, trackers: Mapping[Partition, OffsetTracker]) -> Batch:
        """Read a batch of deferred records, without waiting."""
        return self._records(self._second.consume(READ_AT_ONCE, 0.0), trackers, now_ms)

    def _records(
        self,
        messages: list[Message],
        trackers: Mapping[Partition, OffsetTracker],
        deferred_now_ms: int | None,
    ) -> Batch:
        now = self._clock.monotonic()
        batch = Batch([], [])
        for message in messages:
            partition = Partition(message.topic() or "", message.partition() or 0)
            tracker = trackers.get(partition)
            if message.error() is not None:
                if _is_end(message):
                    batch.ends.append((partition, message.offset() or 0))
                continue
            offset = message.offset() or 0
            if tracker is None or offset < tracker.position:
                continue
            record = Record(
                partition,
                offset,
                message.key(),
                message.value(),
                message.headers() or [],  # type: ignore[arg-type]
                Source.EVENTS,
                now,
            )
            if deferred_now_ms is not None:
                record.deferral = read_deferral(
                    partition.topic, partition.number, offset, record.headers, deferred_now_ms
                )
                record.source = record.deferral.source
                record.headers = foreign(record.headers)  # ours take more memory than a record
            batch.records.append(record)
        return batch

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading events; polling goes on, but for the first moment of a pause.

        librdkafka throws away what it has fetched ahead of a partition that pauses, to fetch it
        anew later: a forwarder that is full every other moment would fetch everything twice.
        """
        if not paused:
            self._pause_at = None
        elif self._pause_at is None:
            self._pause_at = self._clock.monotonic() + _PAUSE_AFTER_SECONDS
        self._pause(paused=paused and self._clock.monotonic() >= (self._pause_at or 0.0))

    def _pause(self, *, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        assignment = self._main.assignment()
        if assignment:
            (self._main.pause if paused else self._main.resume)(assignment)
        metrics.PARTITIONS_PAUSED.set(len(assignment) if paused else 0)

    # --- partitions coming and going ------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned_once = True
        if not partitions or self._owner is None:
            consumer.incremental_assign([])
            return
        numbers = sorted(partition.partition for partition in partitions)
        wanted = [Partition(topic, n) for topic in (self._events, self._deferred) for n in numbers]
        self._owner.settle()
        trackers = self._trackers(wanted)
        starts = [TopicPartition(p.topic, p.number, t.position) for p, t in trackers.items()]
        consumer.incremental_assign([s for s in starts if s.topic == self._events])
        self._second.incremental_assign([s for s in starts if s.topic == self._deferred])
        if self._paused:
            consumer.pause(partitions)
        self._owner.assigned(trackers)
        _log.info("partitions assigned", partitions=numbers)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, partitions, lost=False)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, partitions, lost=True)

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition], *, lost: bool) -> None:
        numbers = sorted(partition.partition for partition in partitions)
        leaving = [Partition(topic, n) for topic in (self._events, self._deferred) for n in numbers]
        if self._owner is None:
            return  # abandoned, perhaps before they were ours: closing gives them up by itself
        _log.info("partitions lost" if lost else "partitions revoked", partitions=numbers)
        if self._reading is not None:
            self._reading.give_up(numbers)
        (self._owner.lost if lost else self._owner.revoked)(leaving)
        self._second.incremental_unassign([TopicPartition(self._deferred, n) for n in numbers])
        consumer.incremental_unassign(partitions)

    def _trackers(self, partitions: list[Partition]) -> dict[Partition, OffsetTracker]:
        committed, logs = self._positions(partitions)
        now = self._clock.monotonic()
        trackers = {}
        for partition in partitions:
            offset, topic_id = committed[partition]
            log = logs[partition]
            start = starting_point(log, offset, topic_id, accept_loss=self._accept_loss)
            if start.lost:
                _log.error("records lost to retention", partition=log.name, lost=start.lost)
                metrics.LOST_TO_RETENTION.labels(partition.topic).inc(start.lost)
            trackers[partition] = OffsetTracker(start.offset, now, log.topic_id)
        return trackers

    def _positions(
        self, partitions: list[Partition]
    ) -> tuple[dict[Partition, tuple[int, str]], dict[Partition, Log]]:
        """Ask where the group and the logs stand, until a killed owner's transaction is over."""
        deadline = Deadline(self._clock, _POSITIONS_SECONDS)
        while True:
            try:
                return self._committed(partitions), self.logs(partitions)
            except KafkaException as error:
                if deadline.passed() or not isinstance(translated(error), KafkaUnavailable):
                    raise
                _log.warning("waiting for the group's offsets", error=error.args[0].name())

    def is_events(self, partition: Partition) -> bool:
        """Whether this is a partition of the events topic."""
        return partition.topic == self._events

    # --- what the brokers know ------------------------------------------------------------------

    def group_metadata(self) -> object:
        """Give the consumer's membership, for transactions.

        Raises:
            KafkaException: the membership is lost, and the next read will say so. Without a member
                id the broker would take offsets from anybody (KIP-447 keeps that for old clients).
        """
        membership = self._main.consumer_group_metadata()
        if not self._main.memberid() or is_without_generation(membership):
            raise KafkaException(KafkaError(KafkaError._ASSIGNMENT_LOST, retriable=True))  # noqa: SLF001 -- so named by librdkafka
        return membership

    def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Give the group's committed offsets; negative where there is none."""
        return {p: offset for p, (offset, _) in self._committed(list(partitions)).items()}

    def _committed(self, partitions: list[Partition]) -> dict[Partition, tuple[int, str]]:
        asked = [TopicPartition(p.topic, p.number) for p in partitions]
        answer = self._main.committed(asked, timeout=self._timeout)
        found = {}
        for there in answer:
            if there.error is not None:
                raise KafkaException(there.error)
            offset = there.offset if there.offset >= 0 else NEVER_COMMITTED
            found[Partition(there.topic, there.partition)] = (offset, there.metadata or "")
        return found

    def logs(self, partitions: list[Partition]) -> dict[Partition, Log]:
        """Give where the partitions start and end now, and their topics' ids."""
        found: dict[Partition, Log] = {}
        for topic in {partition.topic for partition in partitions}:
            numbers = [each.number for each in partitions if each.topic == topic]
            there = self._logs.of(topic, numbers)
            found |= {Partition(topic, number): log for number, log in there.items()}
        return found

    def close(self) -> None:
        """Leave the group; partitions still owned are given up on the way."""
        self._main.close()
        self._second.close()

    def abandon(self) -> None:
        """Leave without a last checkpoint, after an error that forbids one."""
        self._owner = None
        try:
            self.close()
        except (KafkaException, RuntimeError) as error:
            raise MustStop(f"could not leave the group: {error}") from error


_BOUNDED: Final[dict[str, Any]] = {
    # What librdkafka reads ahead counts toward the process's memory: what is queued, and one answer
    # beyond it. That is told packed; unpacked it is ten times as much. A larger record is fetched
    # all the same.
    "queued.max.messages.kbytes": 14_336,
    "fetch.message.max.bytes": topics.EVENT_BYTES // 2,
    "fetch.max.bytes": topics.EVENT_BYTES,
    # For consumers only a lower bound on the one before.
    "message.max.bytes": topics.EVENT_BYTES,
    "fetch.wait.max.ms": 100,
}
_UNHURRIED: Final[dict[str, Any]] = {
    # Deferred records leave as Heap's limits allow, and wait in the window meanwhile.
    "queued.max.messages.kbytes": 2_048,
    "fetch.message.max.bytes": topics.EVENT_BYTES // 8,
    "fetch.max.bytes": topics.EVENT_BYTES // 4,
    "message.max.bytes": topics.EVENT_BYTES // 4,
}
_SUBSCRIBED: Final[dict[str, Any]] = {
    **_BOUNDED,
    "partition.assignment.strategy": "cooperative-sticky",
}


def _is_end(message: Message) -> bool:
    """Tell whether this error is a partition's end; others are logged, or raised if they end us."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- so named by librdkafka
        return True
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- likewise
        name = f"{message.topic()}[{message.partition()}]"
        raise RecordsLost(
            f"{name} no longer holds what was to be read next ({error.str()}): start again; "
            "--accept-loss goes on without it",
            lost={name: 0},
        )
    if error.fatal():
        raise translated(error)
    _log.warning("kafka", error=error.name(), detail=error.str()[:200])
    return False
