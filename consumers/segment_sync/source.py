"""Where pages come from: this member's share of the partitions, and how far each was read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from heapline.errors import KafkaUnavailable, RecordsLost
from heapline.kafka.clients import consumer_config, translated
from heapline.kafka.group_offsets import committed
from heapline.kafka.starting_point import NEVER_COMMITTED, starting_point
from heapline.kafka.topics import PAGE_BYTES, SEGMENT_PAGES, SEGMENT_SYNC_GROUP, Names
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from confluent_kafka import Message

    from consumers.segment_sync.decisions import Place
    from heapline.kafka.logs import Logs
    from heapline.kafka.starting_point import Log
    from heapline.settings import KafkaSettings

_PAGES_AT_ONCE: Final = 100
_POLL_SECONDS: Final = 0.1
_log = logger(__name__)


class Owner(Protocol):
    """Who is told of partitions coming and going."""

    def assigned(self, partitions: Collection[int]) -> None:
        """Take partitions over: nobody else's transaction about them is open any more."""
        ...

    def given_up(self, partitions: Collection[int]) -> None:
        """Forget partitions."""
        ...


class PageSource:
    """A member of the group.

    Args:
        settings: how to reach Kafka.
        names: of topics and group.
        logs: tells where partitions begin and end.
        session_timeout_seconds: silence after which the group takes a member's partitions.
        accept_loss: go on although pages were deleted unread.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Names,
        logs: Logs,
        *,
        session_timeout_seconds: float = 10.0,
        accept_loss: bool = False,
    ) -> None:
        self._timeout = settings.timeout_seconds
        self._logs = logs
        self._accept_loss = accept_loss
        self._topic = names.topic(SEGMENT_PAGES)
        session_ms = int(session_timeout_seconds * 1000)
        self._consumer = Consumer(
            consumer_config(settings, "segment-sync", names.group(SEGMENT_SYNC_GROUP))
            | _OWN
            | {"session.timeout.ms": session_ms, "heartbeat.interval.ms": session_ms // 5}
        )
        self._owner: Owner | None = None
        self._positions: dict[int, int] = {}
        self._targets: dict[int, int] = {}
        self._kept: list[Message] = []
        self._paused = False
        self._failed: Exception | None = None
        self._topic_id = ""
        self._assigned_once = False

    def subscribe(self, owner: Owner) -> None:
        """Join the group; partitions arrive during later reads."""
        self._owner = owner
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    # --- reading --------------------------------------------------------------------------------

    def read(self) -> list[Message]:
        """Give what came next; `wants` tells, when it is its turn, whether it still matters.

        Raises:
            HeaplineError: partitions could not be taken over.
        """
        kept, self._kept = self._kept, []
        found = kept or self._consumer.consume(_PAGES_AT_ONCE, _POLL_SECONDS)
        if self._failed is not None:
            raise self._failed
        return found

    def wants(self, message: Message) -> bool:
        """Tell whether this is a page of ours that was not taken yet; take note of ends.

        Raises:
            RecordsLost, MustStop: reading cannot go on.
        """
        error, partition = message.error(), message.partition() or 0
        if error is None:
            return (message.offset() or 0) >= self._positions.get(partition, _NEVER)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- librdkafka's local errors are named so
            if partition in self._positions:
                end = message.offset() or 0
                self._positions[partition] = max(self._positions[partition], end)
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- likewise
            raise RecordsLost(
                f"{self._topic}[{partition}] no longer holds what was to be read next: start "
                "again; --accept-loss goes on without it",
                lost={f"{self._topic}[{partition}]": 0},
            )
        if error.fatal():
            raise translated(error)
        _log.warning("kafka", error=error.name(), detail=error.str()[:200])
        return False

    def taken(self, at: Place) -> None:
        """Take note that a page was taken into account."""
        self._positions[at.partition] = at.offset + 1

    def keep_alive(self) -> None:
        """Stay a member during a long read of something else.

        No pages should come meanwhile, see `paused`; what comes all the same waits for its turn.
        """
        self._kept += self._consumer.consume(1, 0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no pages come meanwhile; those read ahead come again afterwards."""
        self._paused = True
        self._pause(paused=True)
        try:
            yield
        finally:
            self._paused = False
            self._pause(paused=False)

    def _pause(self, *, paused: bool) -> None:
        assignment = self._consumer.assignment()
        if assignment:
            (self._consumer.pause if paused else self._consumer.resume)(assignment)

    def check_ours(self, at: Place) -> None:
        """See that a page is still ours to take, after a long read of something else.

        Raises:
            KafkaUnavailable: its partition moved to another member meanwhile, be it for a while.
        """
        if self._positions.get(at.partition, _NEVER) > at.offset:
            raise KafkaUnavailable("the partition moved to another member meanwhile")

    def caught_up(self) -> bool:
        """Whether everything there at the assignment was taken into account."""
        return self._assigned_once and all(
            self._positions.get(partition, target) >= target
            for partition, target in self._targets.items()
        )

    # --- for transactions -----------------------------------------------------------------------

    def group_metadata(self) -> object:
        """Give the consumer's membership.

        Raises:
            KafkaException: it is lost, and the next read will say so. Without a member id the
                broker would take offsets from anybody (KIP-447 keeps that for old clients).
        """
        membership = self._consumer.consumer_group_metadata()
        if not self._consumer.memberid():
            raise KafkaException(KafkaError(KafkaError._ASSIGNMENT_LOST, retriable=True))  # noqa: SLF001 -- so named by librdkafka
        return membership

    def topic_id(self) -> str:
        """Give the id of the topic of pages, which goes with every offset."""
        return self._topic_id

    # --- partitions coming and going (called while reading) -------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._take_over(consumer, sorted(each.partition for each in partitions))
        except Exception as error:  # noqa: BLE001 -- raised again by `read`: librdkafka swallows it
            self._failed = translated(error) if isinstance(error, KafkaException) else error

    def _take_over(self, consumer: Consumer, numbers: list[int]) -> None:
        self._assigned_once = True
        if not numbers or self._owner is None:
            consumer.incremental_assign([])
            return
        # Committed offsets first: they are told once no transaction of a predecessor is open any
        # more; then what it wrote is there as well.
        committed = self._committed(numbers)
        logs = self._logs.of(self._topic, numbers)
        starts = {number: self._start(logs[number], *committed[number]) for number in numbers}
        self._owner.assigned(numbers)
        self._positions |= starts
        self._targets |= {number: logs[number].end for number in numbers}
        consumer.incremental_assign([TopicPartition(self._topic, *each) for each in starts.items()])
        if self._paused:
            self._pause(paused=True)
        _log.info("partitions assigned", partitions=numbers)

    def _committed(self, numbers: list[int]) -> dict[int, tuple[int, str]]:
        found = {}
        for there in committed(self._consumer, self._topic, numbers, self._timeout):
            offset = there.offset if there.offset >= 0 else NEVER_COMMITTED
            found[there.partition] = offset, there.metadata or ""
        return found

    def _start(self, log: Log, committed: int, topic_id: str) -> int:
        start = starting_point(log, committed, topic_id, accept_loss=self._accept_loss)
        if start.lost:
            _log.error("pages lost to retention", partition=log.name, lost=start.lost)
            metrics.LOST_TO_RETENTION.labels(self._topic).inc(start.lost)
        self._topic_id = log.topic_id
        return start.offset

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Give partitions up: what was read of them is committed, or is another's to read."""
        numbers = sorted(each.partition for each in partitions)
        for number in numbers:
            self._positions.pop(number, None)
            self._targets.pop(number, None)
        if self._owner is not None:
            self._owner.given_up(numbers)
        consumer.incremental_unassign(partitions)
        _log.info("partitions given up", partitions=numbers)


_NEVER: Final = 2**63
"""The position of a partition that is not ours."""
_OWN: Final[dict[str, str | int]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "fetch.message.max.bytes": PAGE_BYTES,
    "fetch.max.bytes": 2 * PAGE_BYTES,
    "queued.max.messages.kbytes": 64 * 1024,
    "fetch.wait.max.ms": 50,
}
