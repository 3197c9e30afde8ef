"""Gathers what the topics, the offsets and the forwarders know of one event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.errors import Undeliverable
from heapline.events.model import Event
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.headers import Deferral, Origin
from heapline.kafka.partition import partition_of
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import DEFERRED, EVENTS
from operations.dlq import Filter, list_dlq
from operations.explanation import Explanation, Facts, Standing, explain
from operations.outcomes import Totals, read_outcomes
from operations.replay import connection_now, settled_offsets
from operations.resend import headers_of
from operations.status import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from confluent_kafka import Message

    from consumers.forwarder.status import ForwarderStatus
    from heapline.clock import Clock
    from heapline.kafka.topics import Names, Topic
    from heapline.settings import Settings
    from heapline.words import Workspace
    from operations.dlq import Entry

_TOLD_EVERY: Final = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which event.

    Attributes:
        since_ms: it was published since then, milliseconds since 1970-01-01 UTC; None: whatever
            the topics still hold.
        all_partitions: look in every partition, for producers that do not partition as Java does.
    """

    event_id: str
    workspace: Workspace
    since_ms: int | None = None
    all_partitions: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One record with the wanted event, and what became of it."""

    origin: Origin
    published_at_ms: int
    name: str
    explanation: Explanation


class Search:
    """One question, asked of everything there is.

    Args:
        settings, names, clock: of the installation.
        wanted: which event.
        progress: hears how many records were looked at.
    """

    def __init__(
        self,
        settings: Settings,
        names: Names,
        wanted: Wanted,
        clock: Clock,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._names = names
        self._wanted = wanted
        self._clock = clock
        self._progress = progress

    def found(self) -> list[Found]:
        """Find every record with this event, oldest first.

        Raises:
            NotReady: topics are missing.
            KafkaUnavailable, RegistryUnavailable: they do not answer.
        """
        wanted = self._wanted
        published = dict(self._published())
        entries = self._letters()
        copies = self._deferred()
        origins = {*published, *entries, *copies}
        if not origins:
            return []
        settled = settled_offsets(self._settings, self._names, {o.partition for o in origins})
        connection = connection_now(self._settings, self._names, wanted.workspace, self._clock)
        forwarders = self._forwarders()
        found = []
        for origin in origins:
            at_ms, event = published.get(origin, (0, None))
            entry = entries.get(origin)
            deferral, deferred = copies.get(origin, (None, None))
            event = event or (deferred.event if deferred else None)
            facts = Facts(
                Standing(origin, at_ms, origin.offset < settled.get(origin.partition, 0))
                if origin in published
                else None,
                event,
                connection,
                entry.letter if entry else None,
                str(entry.position) if entry else "",
                entry.replayed if entry else False,
                deferral,
                deferred.standing if deferred else None,
                self._counts(event, at_ms),
                owner(forwarders, origin, wanted.workspace),
                max(0, origin.offset - settled.get(origin.partition, 0)),
            )
            found.append(Found(origin, at_ms, event.name if event else "", explain(facts)))
        return sorted(found, key=lambda each: (each.published_at_ms, str(each.origin)))

    def _published(self) -> Iterator[tuple[Origin, tuple[int, Event]]]:
        for message, event in self._events(EVENTS):
            yield _origin(message), (max(0, message.timestamp()[1]), event)

    def _letters(self) -> dict[Origin, Entry]:
        wanted = Filter(self._wanted.workspace, since_ms=self._wanted.since_ms, replayed_too=True)
        return {
            entry.letter.origin: entry  # the newest, where it came back after a replay
            for entry in list_dlq(self._settings, self._names, wanted)
            if entry.letter is not None and entry.letter.event_id == self._wanted.event_id
        }

    def _deferred(self) -> dict[Origin, tuple[Deferral, _Copy]]:
        found: dict[Origin, tuple[Deferral, _Copy]] = {}
        settled: dict[int, int] = {}
        for message, event in self._events(DEFERRED):
            if not settled:
                numbers = self._partitions(DEFERRED)
                settled = settled_offsets(self._settings, self._names, numbers, DEFERRED)
            try:
                deferral = Deferral.read(headers_of(message))
            except ValueError:
                continue
            place = _origin(message)
            is_settled = place.offset < settled.get(place.partition, 0)
            standing = Standing(place, max(0, message.timestamp()[1]), is_settled)
            found[deferral.origin] = (deferral, _Copy(standing, event))
        return found

    def _events(self, topic: Topic) -> Iterator[tuple[Message, Event]]:
        key, event_id = self._wanted.workspace.encode(), self._wanted.event_id
        needle = event_id.encode("utf-8", "surrogatepass")
        with Registry(self._settings.schema_registry) as schemas:
            decoder = Decoder("CommandAIEvent", schemas)
            for message in self._messages(topic):
                value = message.value()
                if message.key() not in {key, None} or not value or needle not in value:
                    continue
                try:
                    event = Event.from_record(decoder.decode(value))
                except Undeliverable:
                    continue
                if event.event_id == event_id and event.workspace == self._wanted.workspace:
                    yield message, event

    def _messages(self, topic: Topic) -> Iterator[Message]:
        consumer = lone_consumer(self._settings.kafka, "why")
        try:
            messages = read_to_end(
                consumer,
                self._names.topic(topic),
                partitions=self._partitions(topic),
                from_ms=self._wanted.since_ms,
                timeout_seconds=self._settings.kafka.timeout_seconds,
            )
            for number, message in enumerate(messages, 1):
                if number % _TOLD_EVERY == 0:
                    self._progress(number)
                yield message
        finally:
            consumer.close()

    def _partitions(self, topic: Topic) -> list[int]:
        consumer = lone_consumer(self._settings.kafka, "why")
        try:
            there = partitions_of(consumer, self._names.topic(topic))
        finally:
            consumer.close()
        if self._wanted.all_partitions:
            return there
        return [partition_of(self._wanted.workspace.encode(), len(there))]

    def _counts(self, event: Event | None, since_ms: int) -> Counter[tuple[str, str]]:
        if event is None:
            return Counter()
        totals = Totals(read_outcomes(self._settings, self._names, since_ms))
        by_kind = totals.by("outcome", "reason", workspace=event.workspace, event=event.name[:100])
        return Counter({(outcome, reason): n for (outcome, reason), n in by_kind.items()})

    def _forwarders(self) -> list[ForwarderStatus]:
        with Observer(self._settings, self._names) as observer:
            return observer.forwarders(self._clock.epoch_ms())[0]


@dataclass(frozen=True, slots=True)
class _Copy:
    standing: Standing
    event: Event


def owner(forwarders: Iterable[ForwarderStatus], origin: Origin, workspace: str) -> str:
    """Tell what the owner of a record's partition says: see `Facts.forwarder`."""
    for status in forwarders:
        for partition in status.partitions:
            if (partition.topic, partition.number) != (origin.topic, origin.partition):
                continue
            if partition.position <= origin.offset:
                return "unread"
            told = next((w for w in status.workspaces if w.workspace == workspace), None)
            return f"{told.state} {told.reason}".strip() if told else "open"
    return "none"


def _origin(message: Message) -> Origin:
    return Origin(message.topic() or "", message.partition() or 0, message.offset() or 0)
