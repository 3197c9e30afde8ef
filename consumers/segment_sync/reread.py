"""Reading again what a decision needs: a segment's retained pages, and its members of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.segment_sync.decisions import Place, sync_id_of
from heapline.clock import Clock, Deadline
from heapline.errors import KafkaUnavailable, Undeliverable
from heapline.heap.segment_keys import (
    membership_key_ends,
    memberships_partition,
    read_key,
    segment_key,
)
from heapline.heap.segment_page import SegmentPage
from heapline.kafka.clients import lone_consumer, translated
from heapline.kafka.read_to_end import STALL_SECONDS, partitions_of, read_to_end
from heapline.kafka.topics import MEMBERSHIPS, SEGMENT_PAGES, Names
from heapline.words import UserId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Consumer, Message

    from consumers.segment_sync.decisions import Late
    from heapline.kafka.codec import Decoder
    from heapline.settings import KafkaSettings
    from heapline.words import SegmentId, Workspace

_TICK_EVERY: Final = 1_000
_KEY_TEXTS: Final = 3


class Rereader:
    """Reads topics beside the main consumer.

    Args:
        settings: how to reach Kafka.
        names: of topics.
        decoder: reads pages.
        tick: called often, so that the main consumer keeps being polled meanwhile.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Names,
        decoder: Decoder,
        clock: Clock,
        tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._names = names
        self._decoder = decoder
        self._clock = clock
        self._tick = tick

    def named(self, late: Late) -> frozenset[UserId] | None:
        """Give the users named by pages of newer syncs; None where those are not all retained.

        Raises:
            KafkaUnavailable: the brokers do not answer.
        """
        consumer = lone_consumer(self._settings, "segment-sync-rereader")
        try:
            return self._named(consumer, late)
        except KafkaException as error:
            raise translated(error) from error
        finally:
            consumer.close()

    def _named(self, consumer: Consumer, late: Late) -> frozenset[UserId] | None:
        topic, partition = self._names.topic(SEGMENT_PAGES), late.at.partition
        where = TopicPartition(topic, partition)
        first, _ = consumer.get_watermark_offsets(where, self._settings.timeout_seconds)
        if first > late.from_offset:
            return None
        wanted = segment_key(late.page.workspace, late.page.segment_id)
        found: set[UserId] = set()
        for message in self._between(consumer, topic, late):
            if message.key() != wanted:
                continue
            try:
                page = SegmentPage.from_record(self._decoder.decode(message.value()))
            except (Undeliverable, ValueError):
                continue  # it was put aside when it was its turn
            if sync_id_of(page, Place(partition, message.offset() or 0)) in late.newer:
                found.update(page.add, page.remove)
        return frozenset(found)

    def _between(self, consumer: Consumer, topic: str, late: Late) -> Iterator[Message]:
        """Give the records of a partition from `late.from_offset` up to the late page itself."""
        consumer.assign([TopicPartition(topic, late.at.partition, late.from_offset)])
        deadline = Deadline(self._clock, STALL_SECONDS)
        while True:
            for message in consumer.consume(100, 0.1):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- so named by librdkafka
                        return
                    raise translated(error)
                if (message.offset() or 0) >= late.at.offset:
                    return
                deadline = Deadline(self._clock, STALL_SECONDS)
                yield message
            self._tick()
            if deadline.passed():
                raise KafkaUnavailable(f"{topic}: nothing came for {STALL_SECONDS:.0f} s")

    def members(self, workspace: Workspace, segment: SegmentId) -> list[UserId]:
        """Give a segment's members, by the topic alone, up to its end of now.

        Raises:
            KafkaUnavailable: the brokers do not answer.
        """
        consumer = lone_consumer(self._settings, "segment-sync-members")
        topic = self._names.topic(MEMBERSHIPS)
        inside: dict[bytes, bool] = {}
        begin, end = membership_key_ends(workspace, segment)
        try:
            partition = memberships_partition(workspace, len(partitions_of(consumer, topic)))
            for number, message in enumerate(
                read_to_end(consumer, topic, partitions=[partition], clock=self._clock)
            ):
                key = message.key() or b""
                if key.startswith(begin) and key.endswith(end):
                    inside[key] = message.value() is not None
                if number % _TICK_EVERY == 0:
                    self._tick()
        except KafkaException as error:
            raise translated(error) from error
        finally:
            consumer.close()
        return [user for key, is_in in inside.items() if is_in for user in _user(key, segment)]


def _user(key: bytes, segment: SegmentId) -> Iterator[UserId]:
    try:
        _, user, of = read_key(key, _KEY_TEXTS)
    except ValueError:
        return
    if of == segment:
        yield UserId(user)
