"""Sending a workspace's events again: those skipped while it was not connected or Send was off.

An event keeps its `event_id`, which is Heap's idempotency key, so one that was delivered before is
delivered again without harm: for Heap, the first write wins.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from heapline.clock import Deadline
from heapline.errors import KafkaUnavailable, Undeliverable
from heapline.events.model import Event
from heapline.kafka.clients import admin, lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.group_offsets import group_offsets
from heapline.kafka.headers import Origin
from heapline.kafka.partition import partition_of
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS, FORWARDER_GROUP
from operations.resend import Resend, headers_of, resend, transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from confluent_kafka import Message

    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.kafka.topics import Names, Topic
    from heapline.outcomes import SkipReason
    from heapline.settings import Settings
    from heapline.words import Workspace
    from operations.resend import Resender

    Judge = Callable[[Event], SkipReason | None]
    Progress = Callable[[int], None]

_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to send again.

    Attributes:
        since_ms, until_ms: when they were published, milliseconds since 1970-01-01 UTC; the second
            is exclusive.
        names: shell globs over event names; any of them; empty means all.
        all_partitions: look in every partition, for producers that choose another than the
            workspace's own.
    """

    workspace: Workspace
    since_ms: int
    until_ms: int | None = None
    names: tuple[str, ...] = ()
    all_partitions: bool = False

    def published_then(self, published_at_ms: int) -> bool:
        """Tell whether a record was published in the wanted span."""
        if published_at_ms < self.since_ms:
            return False
        return self.until_ms is None or published_at_ms < self.until_ms

    def named(self, event: Event) -> bool:
        """Tell whether an event's name is wanted."""
        return not self.names or any(fnmatchcase(event.name, glob) for glob in self.names)


@dataclass(slots=True)
class Replay:
    """What a replay found, and what it sent.

    Attributes:
        eligible: events to send, by name.
        skipped: events the gate would not let through now, by reason.
        undecodable: records that are no events of this workspace; they are in the DLQ.
        sent: events written to the deferred topic; 0 in a dry run.
    """

    eligible: Counter[str] = field(default_factory=Counter)
    skipped: Counter[SkipReason] = field(default_factory=Counter)
    undecodable: int = 0
    sent: int = 0


class Choice:
    """Decides record by record; counts what it decided.

    Args:
        wanted: which events.
        judge: the gate as it stands now.
        decode: from a record's value to an Avro record; raises `Undeliverable`.
    """

    def __init__(
        self, wanted: Wanted, judge: Judge, decode: Callable[[bytes | None], dict[str, object]]
    ) -> None:
        self._wanted = wanted
        self._key = wanted.workspace.encode()
        self._judge = judge
        self._decode = decode
        self.replay = Replay()

    def takes(self, key: bytes | None, value: bytes | None, published_at_ms: int) -> bool:
        """Tell whether a record is to be sent again."""
        if key != self._key or not self._wanted.published_then(published_at_ms):
            return False
        event = self._event(value)
        if event is None or not self._wanted.named(event):
            return False
        reason = self._judge(event)
        if reason is not None:
            self.replay.skipped[reason] += 1
            return False
        self.replay.eligible[event.name] += 1
        return True

    def _event(self, value: bytes | None) -> Event | None:
        try:
            event = Event.from_record(self._decode(value))
        except Undeliverable:
            event = None
        if event is None or event.workspace != self._wanted.workspace:
            self.replay.undecodable += 1
            return None
        return event


def replay_events(
    settings: Settings,
    names: Names,
    wanted: Wanted,
    judge: Judge,
    *,
    resender: Resender | None,
    now_ms: int,
    progress: Progress = lambda _read: None,
) -> Replay:
    """Send events again that the forwarder has already settled; later ones it reads anyway.

    Args:
        settings: where Kafka and the registry are.
        names: of this installation.
        wanted: which events.
        judge: the gate as it stands now; what it refuses is counted and left out.
        resender: writes them; None for a dry run.
        now_ms: milliseconds since 1970-01-01 UTC.
        progress: hears after each transaction, or each thousand records of a dry run, how many
            events were chosen.

    Raises:
        NotReady: there is no topic of events.
        KafkaUnavailable, RegistryUnavailable: as they say. What was written before stays written;
            running again sends it twice, which is harmless.
    """
    with Registry(settings.schema_registry) as schemas:
        choice = Choice(wanted, judge, Decoder("CommandAIEvent", schemas).decode)
        partitions = resender.partitions if resender else 1
        chosen = 0
        for batch in transactions(_resends(settings, names, wanted, choice, partitions, now_ms)):
            chosen += len(batch)
            if resender is not None:
                resender.write(batch)
                choice.replay.sent = chosen
            progress(chosen)
    return choice.replay


def connection_now(
    settings: Settings, names: Names, workspace: Workspace, clock: Clock
) -> Connection | None:
    """Read how a workspace is connected now; None where it is not.

    Raises:
        KafkaUnavailable: the connections could not be read in time; says why.
    """
    deadline = Deadline(clock, settings.kafka.timeout_seconds)
    with (
        Registry(settings.schema_registry) as schemas,
        ConnectionFollower(settings.kafka, names, schemas) as connections,
    ):
        while not connections.ready:
            if deadline.passed():
                raise KafkaUnavailable(f"no connections to judge by: {connections.waiting_for}")
            connections.poll(_POLL_SECONDS)
        return connections.table.get(workspace)


def _resends(
    settings: Settings,
    names: Names,
    wanted: Wanted,
    choice: Choice,
    partitions: int,
    now_ms: int,
) -> Iterator[Resend]:
    for message in _settled(settings, names, wanted):
        if choice.takes(message.key(), message.value(), message.timestamp()[1]):
            yield resend(
                key=message.key(),
                value=message.value(),
                headers=headers_of(message),
                origin=Origin(
                    message.topic() or "", message.partition() or 0, message.offset() or 0
                ),
                partitions=partitions,
                now_ms=now_ms,
            )


def _settled(settings: Settings, names: Names, wanted: Wanted) -> Iterator[Message]:
    """Read what the forwarder has settled since then."""
    topic = names.topic(EVENTS)
    consumer = lone_consumer(settings.kafka, "replay")
    try:
        there = partitions_of(consumer, topic)
        own = partition_of(wanted.workspace.encode(), len(there))
        partitions = there if wanted.all_partitions else [own]
        yield from read_to_end(
            consumer,
            topic,
            partitions=partitions,
            from_ms=wanted.since_ms,
            until=settled_offsets(settings, names, partitions),
            timeout_seconds=settings.kafka.timeout_seconds,
        )
    finally:
        consumer.close()


def settled_offsets(
    settings: Settings, names: Names, partitions: Collection[int], of: Topic = EVENTS
) -> dict[int, int]:
    """Give the offsets up to which the forwarder has settled everything; 0 where it never ran.

    Args:
        settings: where Kafka is.
        names: of this installation.
        partitions: numbers.
        of: the topic of events, or the deferred one.

    Raises:
        KafkaUnavailable: the brokers do not answer.
    """
    topic, group = names.topic(of), names.group(FORWARDER_GROUP)
    seconds = settings.kafka.timeout_seconds
    found = group_offsets(admin(settings.kafka), group, topic, partitions, seconds)
    return {number: max(0, offset) for number, offset in found.items()}
