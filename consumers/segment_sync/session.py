"""One membership in the group, from joining to leaving: reads pages, decides, writes.

A session keeps nothing that Kafka does not hold. Whatever goes wrong ends it; the next one begins
with what was committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.segment_sync.decisions import (
    Apply,
    Aside,
    Decision,
    Drain,
    Duplicate,
    Late,
    Place,
    decide,
    decide_late,
    undecodable,
)
from consumers.segment_sync.segment_table import Key, of_partitions
from consumers.segment_sync.writes import PageChanges, Writes, parts_of
from heapline.errors import KafkaUnavailable, RecordsLost, Undeliverable, UnknownSchema
from heapline.heap.segment_keys import read_key
from heapline.heap.segment_page import Action, SegmentPage
from heapline.kafka.clients import consumer_config, translated
from heapline.kafka.starting_point import NEVER_COMMITTED, starting_point
from heapline.kafka.topics import PAGE_BYTES, SEGMENT_PAGES, SEGMENT_SYNC_GROUP, Names
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from consumers.segment_sync.reread import Rereader
    from consumers.segment_sync.transaction import Transactions
    from heapline.clock import Clock
    from heapline.heap.segment_record import HeapSegment
    from heapline.kafka.codec import Decoder
    from heapline.kafka.logs import Logs
    from heapline.settings import KafkaSettings

MOST_CHANGES: Final = 10_000
"""In one transaction; a page larger than that has one to itself."""
_PAGES_AT_ONCE: Final = 100
_POLL_SECONDS: Final = 0.1
_KEY_TEXTS: Final = 2
_log = logger(__name__)


@dataclass(slots=True)
class Progress:
    """What was done so far, over all sessions of a run.

    Attributes:
        pages: taken into account, duplicates included.
    """

    pages: int = 0


class Session:
    """Reads, decides, writes, until it is told to stop or something fails.

    Args:
        settings: how to reach Kafka.
        names: of topics and group.
        clock: for deadlines.
        decoder: reads pages.
        load: gives all rows of `heap.segments` as committed by now.
        logs: tells where partitions begin and end.
        progress: counted up.
        accept_loss: go on although pages were deleted unread.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Names,
        clock: Clock,
        decoder: Decoder,
        load: Callable[[], dict[Key, HeapSegment]],
        logs: Logs,
        progress: Progress,
        *,
        accept_loss: bool = False,
    ) -> None:
        self._timeout = settings.timeout_seconds
        self._clock = clock
        self._decoder = decoder
        self._load = load
        self._logs = logs
        self._accept_loss = accept_loss
        self._topic = names.topic(SEGMENT_PAGES)
        self._consumer = Consumer(
            consumer_config(settings, "segment-sync", names.group(SEGMENT_SYNC_GROUP)) | _OWN
        )
        self._rows: dict[Key, HeapSegment] = {}
        self._positions: dict[int, int] = {}
        self._targets: dict[int, int] = {}
        self._failed: Exception | None = None
        self._topic_id = ""
        self._assigned = False
        self._writes = Writes()
        self._progress = progress

    # --- what others need of it -----------------------------------------------------------------

    def group_metadata(self) -> object:
        """See `Group.group_metadata`."""
        return self._consumer.consumer_group_metadata()

    def topic_id(self) -> str:
        """See `Group.topic_id`."""
        return self._topic_id

    def tick(self) -> None:
        """Keep the membership alive during a long read of something else; pages stay unread."""
        for message in self._consumer.consume(1, 0):
            self._note(message)

    # --- the loop -------------------------------------------------------------------------------

    def run(
        self,
        transactions: Transactions,
        rereader: Rereader,
        stopping: Callable[[], bool],
        *,
        until_caught_up: bool,
    ) -> None:
        """Work until told to stop, or until everything there at the assignment is applied.

        Raises:
            TryAgainLater: start another session.
            MustStop: do not.
        """
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )
        while not stopping():
            messages = self._consumer.consume(_PAGES_AT_ONCE, _POLL_SECONDS)
            if self._failed is not None:
                raise self._failed
            for message in messages:
                if self._note(message):
                    self._take(message, transactions, rereader)
            self._commit(transactions)
            if until_caught_up and self._caught_up():
                return

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _note(self, message: Message) -> bool:
        """Tell whether this is a page of ours; take note of ends.

        Raises:
            RecordsLost, MustStop: reading cannot go on.
        """
        error, partition = message.error(), message.partition() or 0
        if error is None:
            offset = message.offset() or 0
            return partition in self._positions and offset >= self._positions[partition]
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

    def _caught_up(self) -> bool:
        return self._assigned and all(
            self._positions.get(partition, target) >= target
            for partition, target in self._targets.items()
        )

    # --- one page -------------------------------------------------------------------------------

    def _take(self, message: Message, transactions: Transactions, rereader: Rereader) -> None:
        at = Place(message.partition() or 0, message.offset() or 0)
        key = _key(message)
        if key is None:
            _log.error("a page without a usable key", partition=at.partition, offset=at.offset)
            metrics.SEGMENT_PAGES_APPLIED.labels("nameless").inc()
            self._go_on(at)
            return
        decision, page = self._decide(message, key, at)
        if isinstance(decision, Late):
            # The partition may move meanwhile: nothing of it may be left to be committed then.
            self._commit(transactions)
            with _Paused(self._consumer):
                named = rereader.named(decision)
            self._still_ours(at)
            decision = decide_late(self._rows[key], decision, named)
        if isinstance(decision, Drain):
            self._drain(decision, page, at, transactions, rereader)
            return
        if self._writes.changes and self._writes.changes + _size(decision) > MOST_CHANGES:
            self._commit(transactions)
        if isinstance(decision, Apply):
            self._writes.add(_changes(page, decision.sync, decision))
        self._settle(key, decision, at)

    def _decide(self, message: Message, key: Key, at: Place) -> tuple[Decision, SegmentPage]:
        known = self._rows.get(key)
        try:
            page = SegmentPage.from_record(self._decoder.decode(message.value()))
            _check_key(page, key)
        except UnknownSchema as error:
            # The registry may be behind; a record that stays unknown holds its partition, and says
            # so: to pass over a page would leave its segment wrong in silence.
            raise KafkaUnavailable(f"page {at.partition}/{at.offset}: {error}") from error
        except (Undeliverable, ValueError) as error:
            _log.error("a page cannot be read", place=str(tuple(at)), error=str(error)[:200])
            blank = SegmentPage(*key, Action.REFUSED, 0, _time_ms(message))
            return undecodable(known, blank, at, "undecodable"), blank
        return decide(known, page, at), page

    def _settle(self, key: Key, decision: Apply | Aside | Duplicate | Drain, at: Place) -> None:
        self._rows[key] = self._writes.rows[key] = decision.segment
        self._go_on(at)
        result = decision.reason if isinstance(decision, Aside) else type(decision).__name__.lower()
        metrics.SEGMENT_PAGES_APPLIED.labels(result).inc()

    def _go_on(self, at: Place) -> None:
        self._progress.pages += 1
        self._positions[at.partition] = self._writes.offsets[at.partition] = at.offset + 1

    def _drain(
        self,
        drain: Drain,
        page: SegmentPage,
        at: Place,
        transactions: Transactions,
        rereader: Rereader,
    ) -> None:
        """Let everybody leave: commit what came before, read who is in, write it in parts."""
        self._commit(transactions)
        key = page.workspace, page.segment_id
        with _Paused(self._consumer):
            members = rereader.members(*key)
        self._still_ours(at)
        leaving = PageChanges(*key, page.received_at_ms, drain.sync, (), members)
        *parts, last = parts_of(leaving, MOST_CHANGES) or [leaving]
        for part in parts:
            written = Writes()
            written.add(part)
            transactions.commit(written, self)
        self._writes.add(last)
        self._settle(key, drain, at)
        self._commit(transactions)

    def _still_ours(self, at: Place) -> None:
        if at.partition not in self._positions:
            raise KafkaUnavailable("the partition moved to another member meanwhile")

    def _commit(self, transactions: Transactions) -> None:
        writes, self._writes = self._writes, Writes()
        if writes:
            self._rows.update(transactions.commit(writes, self))

    # --- partitions coming and going (called while reading) -------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._take_over(consumer, [each.partition for each in partitions])
        except Exception as error:  # noqa: BLE001 -- raised again by the loop: librdkafka swallows it
            self._failed = translated(error) if isinstance(error, KafkaException) else error

    def _take_over(self, consumer: Consumer, numbers: list[int]) -> None:
        self._assigned = True
        if not numbers:
            consumer.incremental_assign([])
            return
        # Committed offsets first: they are told once no transaction of a predecessor is open any
        # more; then its rows are there as well.
        asked = [TopicPartition(self._topic, number) for number in numbers]
        committed = {each.partition: each for each in consumer.committed(asked, self._timeout)}
        logs = self._logs.of(self._topic, numbers)
        starts = []
        for number in numbers:
            there = committed[number]
            if there.error is not None:
                raise KafkaException(there.error)
            offset = there.offset if there.offset >= 0 else NEVER_COMMITTED
            start = starting_point(
                logs[number], offset, there.metadata or "", accept_loss=self._accept_loss
            )
            if start.lost:
                metrics.LOST_TO_RETENTION.labels(self._topic).inc(start.lost)
            self._topic_id = logs[number].topic_id
            self._positions[number] = start.offset
            self._targets[number] = logs[number].end
            starts.append(TopicPartition(self._topic, number, start.offset))
        self._rows |= of_partitions(self._load(), numbers)
        consumer.incremental_assign(starts)
        _log.info("partitions assigned", partitions=sorted(numbers))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Give partitions up: everything of theirs that was read is committed, or goes with us."""
        for each in partitions:
            self._positions.pop(each.partition, None)
            self._targets.pop(each.partition, None)
        numbers = {each.partition for each in partitions}
        gone = of_partitions(self._rows, numbers)
        self._rows = {key: row for key, row in self._rows.items() if key not in gone}
        consumer.incremental_unassign(partitions)
        _log.info("partitions given up", partitions=sorted(numbers))


class _Paused:
    """No pages come meanwhile; those read ahead come again afterwards."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def __enter__(self) -> None:
        assignment = self._consumer.assignment()
        if assignment:
            self._consumer.pause(assignment)

    def __exit__(self, *_: object) -> None:
        assignment = self._consumer.assignment()
        if assignment:
            self._consumer.resume(assignment)


def _key(message: Message) -> Key | None:
    try:
        workspace, segment = read_key(message.key(), _KEY_TEXTS)
    except ValueError:
        return None
    return Workspace(workspace), SegmentId(segment)


def _check_key(page: SegmentPage, key: Key) -> None:
    if (page.workspace, page.segment_id) != key:
        raise ValueError("its key names another segment")


def _time_ms(message: Message) -> int:
    return max(0, message.timestamp()[1])


def _size(decision: Decision) -> int:
    return len(decision.enters) + len(decision.leaves) if isinstance(decision, Apply) else 0


def _changes(page: SegmentPage, sync: str, apply: Apply) -> PageChanges:
    return PageChanges(
        page.workspace, page.segment_id, page.received_at_ms, sync, apply.enters, apply.leaves
    )


_OWN: Final[dict[str, str | int]] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    "fetch.message.max.bytes": PAGE_BYTES,
    "fetch.max.bytes": 2 * PAGE_BYTES,
    "queued.max.messages.kbytes": 64 * 1024,
    "fetch.wait.max.ms": 50,
}
