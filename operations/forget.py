"""Erasing a user: what is done at once, and what takes until when.

First the erasure is written down; from then on every role drops what was accepted before it. Then
those who work are waited for, so that a page or event that was under way is settled, and only then
the user's memberships are taken out of the topic: nothing can be written behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from heapline.clock import SystemClock
from heapline.erasures import EraseKey, Erasure
from heapline.errors import CallerMistake, KafkaUnavailable
from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_keys import memberships_partition
from heapline.kafka.clients import producer_config, translated
from heapline.kafka.codec import Encoder
from heapline.kafka.erasure_log import PARTITION
from heapline.kafka.topics import (
    DAY_MS,
    DEFERRED,
    DLQ,
    ERASURES,
    EVENTS,
    FORWARDER_GROUP,
    MEMBERSHIPS,
    SEGMENT_PAGES,
    SEGMENT_SYNC_GROUP,
    Names,
    Topic,
)
from operations.group_progress import GroupProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.heap.deletion import Deletion, HeapDeletion
    from heapline.heap.segment_record import HeapSegment
    from heapline.settings import Settings
    from heapline.words import SegmentId, UserId, Workspace
    from operations.segment_news import SegmentNews
    from producers.connections import Schemas

SETTLE_SECONDS: Final = 20.0
"""How long roles that are at work are waited for."""
ROLL_MS: Final = 7 * DAY_MS
"""Kafka deletes a file of records once its newest record is old enough, and begins another file
after a week at the latest, by its own default."""
_LONGEST_USER: Final = 1_024


@dataclass(frozen=True, slots=True)
class Later:
    """Something that cannot be erased at once.

    Attributes:
        what: what holds it, for people.
        gone_by_ms: until when it is gone at the latest; None where somebody must do something.
    """

    what: str
    gone_by_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done.

    Attributes:
        erased_at_ms: what was accepted before is dropped.
        segments: in which the user is not a member any more.
        settled: by group, whether everything accepted before is settled; where it is not, it is
            dropped when it is read.
        heap: what Heap's deletion API said; None where it was not asked.
        later: what is not gone yet.
    """

    erased_at_ms: int
    segments: tuple[SegmentId, ...]
    settled: dict[str, bool]
    heap: Deletion | None
    later: tuple[Later, ...]


class Forget:
    """Erases users of one installation.

    Args:
        settings: where Kafka is, and the key.
        schemas: the registry.
        news: which segments a workspace has.
        heap: Heap's deletion API; asked only where it is asked for.
        clock: for the time of the erasure.
    """

    def __init__(
        self,
        settings: Settings,
        schemas: Schemas,
        news: SegmentNews,
        heap: HeapDeletion,
        clock: Clock | None = None,
    ) -> None:
        self._kafka = settings.kafka
        self._names = Names(settings.kafka.prefix)
        self._schemas = schemas
        self._news = news
        self._heap = heap
        self._key = EraseKey.of(settings)
        self._clock = clock or SystemClock()

    def forget(
        self,
        workspace: Workspace,
        user: UserId,
        connection: Connection | None = None,
        *,
        in_heap: bool = False,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> Forgotten:
        """Erase a user; again is harmless.

        Args:
            workspace: whose user.
            user: the workspace's own id, which is Heap's identity.
            connection: of the workspace, where there is one.
            in_heap: ask Heap to delete the user, too.
            settle_seconds: how long to wait for roles at work.

        Raises:
            CallerMistake: the id is not usable, or the workspace has no app id to delete in.
            TryAgainLater, NotReady: not all was done; the same again goes on.
            DeletionRefused: all but Heap's part is done.
        """
        _check(user)
        app_id = None if connection is None else connection.app_id or connection.env_id
        if in_heap and app_id is None:
            raise CallerMistake(
                f"{workspace} is connected to no Heap environment, so nothing can be deleted there"
            )
        now_ms = self._clock.epoch_ms()
        self._write_down(Erasure(workspace, self._key.mac(workspace, user), self._key.id, now_ms))
        settled = self._wait(workspace, settle_seconds)
        segments = self._news.of(workspace)
        self._leave(workspace, user, segments, now_ms)
        asked = self._heap.delete(app_id, user) if in_heap and app_id is not None else None
        return Forgotten(
            now_ms,
            tuple(each.segment_id for each in segments if each.segment_id),
            settled,
            asked,
            later(now_ms, asked=asked is not None),
        )

    def _write_down(self, erasure: Erasure) -> None:
        schema_id = self._schemas.id_for_writing(self._names, ERASURES)
        value = Encoder("HeapErasure", schema_id).encode(erasure.to_record())
        record = {"partition": PARTITION, "key": erasure.key, "value": value}
        self._produce(ERASURES, [record], erasure.erased_at_ms)

    def _wait(self, workspace: Workspace, seconds: float) -> dict[str, bool]:
        """Wait until what was accepted before is settled by those who are at work."""
        progress = GroupProgress(self._kafka, self._names, self._clock)
        events = self._names.topic(EVENTS)
        partitions = progress.partitions(events)
        home = [memberships_partition(workspace, partitions)]
        marks = {
            "apply-syncs": progress.mark(SEGMENT_SYNC_GROUP, self._names.topic(SEGMENT_PAGES)),
            "forward": progress.mark(FORWARDER_GROUP, events, home),
        }
        deadline_at = self._clock.monotonic() + seconds
        return {
            role: progress.passed(mark, max(0.0, deadline_at - self._clock.monotonic()))
            for role, mark in marks.items()
        }

    def _leave(
        self, workspace: Workspace, user: UserId, segments: Sequence[HeapSegment], now_ms: int
    ) -> None:
        progress = GroupProgress(self._kafka, self._names, self._clock)
        partitions = progress.partitions(self._names.topic(MEMBERSHIPS))
        changes = leaves(workspace, user, segments, now_ms)
        home = memberships_partition(workspace, partitions)
        records = [
            {"partition": home, "key": each.key(), "value": None, "headers": each.headers()}
            for each in changes
        ]
        self._produce(MEMBERSHIPS, records, now_ms)

    def _produce(self, topic: Topic, records: Iterable[Mapping[str, object]], now_ms: int) -> None:
        """Write records, acknowledged by all replicas.

        Raises:
            KafkaUnavailable: not all are.
        """
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        producer = Producer(producer_config(self._kafka, "forget"))
        name = self._names.topic(topic)
        try:
            for each in records:
                producer.produce(name, timestamp=now_ms, on_delivery=delivered, **each)  # type: ignore[arg-type]  # named arguments of its own
            left = producer.flush(self._kafka.timeout_seconds)
        except KafkaException as error:
            raise translated(error) from error
        if failed or left:
            why = failed[0].str() if failed else "no answer in time"
            raise KafkaUnavailable(f"{name} did not take all records ({why}): the same again")


def leaves(
    workspace: Workspace, user: UserId, segments: Iterable[HeapSegment], now_ms: int
) -> list[MembershipChange]:
    """Give the records by which a user leaves all segments.

    None ends a page: they may come to lie between the records of one that is being written, and
    what stands before them is shown with the rest of that page, or where the partition ends.
    """
    return [
        MembershipChange(
            workspace, user, each.segment_id, enters=False, at_ms=now_ms, sync=None, ends_page=False
        )
        for each in segments
        if each.segment_id
    ]


def later(now_ms: int, *, asked: bool) -> tuple[Later, ...]:
    """Say what is not gone yet, and until when it is."""
    compacted_ms = now_ms + _setting(MEMBERSHIPS, "max.compaction.lag.ms") + DAY_MS
    tombstones_ms = compacted_ms + _setting(MEMBERSHIPS, "delete.retention.ms") + DAY_MS
    kept = [
        Later(f"{topic.name} ({what})", now_ms + _setting(topic, "retention.ms") + ROLL_MS)
        for topic, what in (
            (SEGMENT_PAGES, "Heap's pages as they came; dropped whenever they are read"),
            (EVENTS, "events as they came; dropped whenever they are read"),
            (DEFERRED, "events that wait; skipped as erased when they are due"),
            (DLQ, "dead letters; skipped as erased when they are replayed"),
        )
    ]
    heap = "Heap deletes in its own time: the request says how far it is"
    return (
        Later(f"{MEMBERSHIPS.name}: the memberships themselves", compacted_ms),
        Later(f"{MEMBERSHIPS.name}: the records that end them, with the id in", tombstones_ms),
        *kept,
        Later("nodes that do not run now: at the next start of `heapline materialize`"),
        Later("backups, exports, and copies of the analysts' file: yours to delete"),
        Later(heap if asked else "Heap itself: --heap asks it to delete the user, too"),
        Later(
            "a later sync of Heap's that names the user brings the user back: delete in Heap, or "
            "take the user out of the synced segments there"
        ),
    )


def _setting(topic: Topic, name: str) -> int:
    return int(topic.config[name])


def _check(user: str) -> None:
    try:
        encoded = user.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CallerMistake("the user id is not text that can be written as UTF-8") from error
    if not encoded or len(user) > _LONGEST_USER:
        raise CallerMistake(f"a user id has 1 to {_LONGEST_USER:,} characters")
