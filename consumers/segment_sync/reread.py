"""Reading again what a decision needs: a segment's retained pages, and its members of today."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from consumers.segment_sync.decisions import Place, sync_id_of
from heapline.errors import Undeliverable
from heapline.heap.segment_keys import (
    membership_key_ends,
    memberships_partition,
    read_key,
    segment_key,
)
from heapline.heap.segment_page import SegmentPage
from heapline.kafka.clients import lone_consumer, translated
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.topics import MEMBERSHIPS, SEGMENT_PAGES, Names
from heapline.words import UserId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

    from consumers.segment_sync.decisions import Late
    from heapline.clock import Clock
    from heapline.kafka.codec import Decoder
    from heapline.kafka.logs import Logs
    from heapline.settings import KafkaSettings
    from heapline.words import SegmentId, Workspace

_KEY_TEXTS: Final = 3


@dataclass(slots=True)
class _Read:
    """What the last late page made us read: the next one of its kind goes on from there."""

    segment: bytes = b""
    newer: frozenset[str] = frozenset()
    from_offset: int = 0
    to_offset: int = 0
    named: set[UserId] = field(default_factory=set)

    def is_part_of(self, late: Late, segment: bytes) -> bool:
        """Tell whether all of it belongs to what this page asks for."""
        same = (self.segment, self.newer, self.from_offset)
        return same == (segment, late.newer, late.from_offset) and self.to_offset <= late.at.offset


class Rereader:
    """Reads topics beside the main consumer, with one of its own.

    Args:
        settings: how to reach Kafka.
        names: of topics.
        logs: tells where partitions begin and end.
        decoder: reads pages.
        clock: for deadlines.
    """

    def __init__(
        self, settings: KafkaSettings, names: Names, logs: Logs, decoder: Decoder, clock: Clock
    ) -> None:
        self._pages = names.topic(SEGMENT_PAGES)
        self._memberships = names.topic(MEMBERSHIPS)
        self._logs = logs
        self._decoder = decoder
        self._clock = clock
        self._consumer = lone_consumer(settings, "segment-sync-rereader")
        self._timeout = settings.timeout_seconds
        self._last = _Read()

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def named(self, late: Late, idle: Callable[[], None]) -> frozenset[UserId] | None:
        """Give the users named by pages of newer syncs; None where those are not all retained.

        Args:
            late: what is asked for.
            idle: called often meanwhile.

        Raises:
            KafkaUnavailable: the brokers do not answer.
        """
        try:
            return self._named(late, idle)
        except KafkaException as error:
            raise translated(error) from error

    def _named(self, late: Late, idle: Callable[[], None]) -> frozenset[UserId] | None:
        partition = late.at.partition
        if self._logs.of(self._pages, [partition])[partition].start > late.from_offset:
            return None
        segment = segment_key(late.page.workspace, late.page.segment_id)
        read, self._last = self._last, _Read()  # nothing half-read is kept after an error
        if not read.is_part_of(late, segment):
            read = _Read(segment, late.newer, late.from_offset, late.from_offset)
        for message in read_to_end(
            self._consumer,
            self._pages,
            partitions=[partition],
            starts={partition: read.to_offset},
            until={partition: late.at.offset},
            timeout_seconds=self._timeout,
            clock=self._clock,
            idle=idle,
        ):
            if message.key() == segment:
                read.named.update(self._users(message, late))
        read.to_offset = late.at.offset
        self._last = read
        return frozenset(read.named)

    def _users(self, message: Message, late: Late) -> Iterator[UserId]:
        try:
            page = SegmentPage.from_record(self._decoder.decode(message.value()))
        except (Undeliverable, ValueError):
            return  # it was put aside when it was its turn
        if sync_id_of(page, Place(late.at.partition, message.offset() or 0)) in late.newer:
            yield from page.add
            yield from page.remove

    def members(
        self, workspace: Workspace, segment: SegmentId, idle: Callable[[], None]
    ) -> list[UserId]:
        """Give a segment's members, by the topic alone, up to its end of now.

        Args:
            workspace: whose segment.
            segment: whose members.
            idle: called often meanwhile.

        Raises:
            KafkaUnavailable: the brokers do not answer.
        """
        try:
            return self._members(workspace, segment, idle)
        except KafkaException as error:
            raise translated(error) from error

    def _members(
        self, workspace: Workspace, segment: SegmentId, idle: Callable[[], None]
    ) -> list[UserId]:
        topic = self._memberships
        inside: dict[bytes, bool] = {}
        begin, end = membership_key_ends(workspace, segment)
        count = len(partitions_of(self._consumer, topic, self._timeout))
        partition = memberships_partition(workspace, count)
        for message in read_to_end(
            self._consumer,
            topic,
            partitions=[partition],
            ends=self._logs.ends(topic, [partition]),
            timeout_seconds=self._timeout,
            clock=self._clock,
            idle=idle,
        ):
            key = message.key() or b""
            if key.startswith(begin) and key.endswith(end):
                inside[key] = message.value() is not None
        return [user for key, is_in in inside.items() if is_in for user in _user(key, segment)]


def _user(key: bytes, segment: SegmentId) -> Iterator[UserId]:
    try:
        _, user, of = read_key(key, _KEY_TEXTS)
    except ValueError:
        return
    if of == segment:
        yield UserId(user)
