"""The dead-letter queue: what is in it, and one record in full.

A replay writes the record to the deferred topic and, in the same transaction, a marker to the DLQ:
same key, same partition, no value, and a header that names the replayed record. So a record is
either replayed and marked or neither, and a replay that was cut short goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.errors import CallerMistake
from heapline.kafka.clients import lone_consumer
from heapline.kafka.headers import REPLAYED, DeadLetter, Headers
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.topics import DLQ
from heapline.outcomes import DeadLetterReason
from operations.resend import Marker, headers_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from confluent_kafka import Message

    from heapline.kafka.topics import Names
    from heapline.settings import Settings

REFUSED_AGAIN: Final = frozenset(DeadLetterReason) - {
    DeadLetterReason.UNKNOWN_SCHEMA,
    DeadLetterReason.REJECTED_BY_HEAP,
    DeadLetterReason.TOO_LARGE,
    DeadLetterReason.EXPIRED,
}
"""Reasons that lie in the record itself: sent again, it would be dead-lettered again. The others
depend on the registry, on Heap, on settings or on time."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a record stands in the DLQ; written `partition/offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        partition, slash, offset = text.partition("/")
        if not (slash and partition.isdecimal() and offset.isdecimal()):
            raise ValueError(
                f"{text!r} is not a position; write PARTITION/OFFSET, for example 3/15"
            )
        return cls(int(partition), int(offset))


@dataclass(slots=True)
class Entry:
    """One record of the DLQ without its content.

    Attributes:
        written_at_ms: when it was dead-lettered, milliseconds since 1970-01-01 UTC.
        letter: why; None when its headers cannot be read, as with a record heapline did not write.
        replayed: whether it was sent again.
    """

    position: Position
    written_at_ms: int
    letter: DeadLetter | None
    replayed: bool = False

    @property
    def workspace(self) -> str:
        """Whose it is, as far as known."""
        return self.letter.workspace if self.letter else ""

    @property
    def reason(self) -> str:
        """Why it is here; `unreadable_headers` where they do not say."""
        return str(self.letter.reason) if self.letter else "unreadable_headers"

    @property
    def refused_again(self) -> bool:
        """Whether sending it again would end here again."""
        return self.letter is None or self.letter.reason in REFUSED_AGAIN


@dataclass(frozen=True, slots=True)
class Content:
    """One record of the DLQ in full. Its key and value are personal data."""

    entry: Entry
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records an operator means; everything, unless something is given.

    Attributes:
        since_ms, until_ms: when it was dead-lettered, milliseconds since 1970-01-01 UTC; the
            second is exclusive.
        replayed_too: also those that were sent again.
        positions: only these.
    """

    workspace: str | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    replayed_too: bool = False
    positions: frozenset[Position] = frozenset()

    def wants(self, entry: Entry) -> bool:
        """Tell whether a record is meant, whether replayed or not."""
        return (
            (self.workspace is None or entry.workspace == self.workspace)
            and (self.reason is None or entry.reason == self.reason)
            and (self.since_ms is None or entry.written_at_ms >= self.since_ms)
            and (self.until_ms is None or entry.written_at_ms < self.until_ms)
            and (not self.positions or entry.position in self.positions)
        )


class Listing:
    """Puts records and the markers of replays together; pure state.

    A marker stands later than its record in the same partition, so a listing is right when the
    topic was read to its end.
    """

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._entries: dict[Position, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Take a record."""
        if self._wanted.wants(entry):
            self._entries[entry.position] = entry

    def mark(self, replayed: Position) -> None:
        """Take a marker; one for a record not taken says nothing."""
        if entry := self._entries.get(replayed):
            entry.replayed = True

    def entries(self) -> list[Entry]:
        """Give the records meant, oldest first."""
        kept = (e for e in self._entries.values() if self._wanted.replayed_too or not e.replayed)
        return sorted(kept, key=lambda each: (each.written_at_ms, each.position))


def entry_of(message: Message) -> Entry:
    """Read what a record of the DLQ says about itself."""
    position = Position(message.partition() or 0, message.offset() or 0)
    try:
        letter = DeadLetter.read(headers_of(message))
    except ValueError:
        letter = None
    return Entry(position, max(0, message.timestamp()[1]), letter)


def marker_for(position: Position, key: bytes | None) -> Marker:
    """Make the record that says this one was replayed."""
    return Marker(position.partition, key, [(REPLAYED, str(position).encode())])


def marked_by(message: Message) -> Position | None:
    """Give the record which this one marks as replayed, or None when this one is no marker."""
    if message.value() is not None:
        return None
    for name, value in headers_of(message):
        if name == REPLAYED:
            try:
                return Position.parse(value.decode("utf-8", "replace"))
            except ValueError:
                return None
    return None


def list_dlq(settings: Settings, names: Names, wanted: Filter) -> list[Entry]:
    """List records of the DLQ, oldest first.

    Raises:
        NotReady: there is no DLQ topic.
        KafkaUnavailable: the brokers do not answer.
        CallerMistake: a position names a partition that is not there.
    """
    listing = Listing(wanted)
    first = first_offsets(wanted.positions)
    for message in read_dlq(settings, names, from_ms=wanted.since_ms, starts=first):
        replayed = marked_by(message)
        if replayed is None:
            listing.add(entry_of(message))
        else:
            listing.mark(replayed)
    return listing.entries()


def show_dlq(settings: Settings, names: Names, position: Position) -> Content:
    """Read one record of the DLQ in full; raises as `list_dlq` does.

    Raises:
        CallerMistake: there is no record: it was never written, is a marker, or is past retention.
    """
    found: Content | None = None
    starts = {position.partition: position.offset}
    for message in read_dlq(settings, names, starts=starts):
        replayed = marked_by(message)
        if message.offset() == position.offset and replayed is None:
            found = Content(entry_of(message), message.key(), message.value(), headers_of(message))
        elif found is None:
            break
        elif replayed == position:
            found.entry.replayed = True
    if found is None:
        raise CallerMistake(f"there is no record at {position}: see `heapline dlq list --all`")
    return found


def first_offsets(positions: Iterable[Position]) -> dict[int, int]:
    """Give the first offset among some positions, by partition."""
    first: dict[int, int] = {}
    for each in positions:
        first[each.partition] = min(each.offset, first.get(each.partition, each.offset))
    return first


def read_dlq(
    settings: Settings,
    names: Names,
    *,
    from_ms: int | None = None,
    starts: dict[int, int] | None = None,
    until: dict[int, int] | None = None,
) -> Iterator[Message]:
    """Read records and markers of the DLQ up to its ends now.

    Args:
        settings: where Kafka is.
        names: of this installation.
        from_ms: leave out what was written before, milliseconds since 1970-01-01 UTC.
        starts: read only these partitions, each from this offset on.
        until: offsets at which to end earlier, by partition.

    Raises:
        NotReady: there is no DLQ topic.
        KafkaUnavailable: the brokers do not answer.
        CallerMistake: `starts` names a partition that is not there.
    """
    topic = names.topic(DLQ)
    consumer = lone_consumer(settings.kafka, "dlq")
    try:
        if starts:
            _check_partitions(starts, partitions_of(consumer, topic))
        yield from read_to_end(
            consumer,
            topic,
            partitions=sorted(starts) if starts else None,
            from_ms=from_ms,
            starts=starts,
            until=until,
            timeout_seconds=settings.kafka.timeout_seconds,
        )
    finally:
        consumer.close()


def _check_partitions(asked: Iterable[int], there: Collection[int]) -> None:
    missing = sorted(set(asked) - set(there))
    if missing:
        raise CallerMistake(
            f"the DLQ has no partition {missing[0]}, only {min(there)}-{max(there)}"
        )
