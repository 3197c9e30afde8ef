"""Under which ids a workspace's latest events came: does Heap know its users by the same?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heapline.errors import Undeliverable
from heapline.events.model import Event
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.partition import partition_of
from heapline.kafka.read_to_end import bounds, partitions_of, read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer

    from heapline.kafka.topics import Names
    from heapline.settings import Settings
    from heapline.words import Workspace

REACHES: Final = (500, 20_000)
"""How far back to look in the workspace's partition, in offsets; further only if need be."""
_FETCH_WAIT_MS: Final = 20


def latest_users(
    settings: Settings, names: Names, workspace: Workspace, most: int = 3
) -> tuple[str, ...]:
    """Give user ids of a workspace's latest events, the latest first, each once.

    Raises:
        NotReady: there is no topic of events.
        KafkaUnavailable, RegistryUnavailable: nobody answers.
    """
    consumer = lone_consumer(
        settings.kafka, "latest-users", **{"fetch.wait.max.ms": _FETCH_WAIT_MS}
    )
    try:
        with Registry(settings.schema_registry) as schemas:
            decoder = Decoder("CommandAIEvent", schemas)
            found: tuple[str, ...] = ()
            for reach in REACHES:
                values = _latest(consumer, settings, names, workspace, reach)
                found = _users(values, decoder, most)
                if len(found) == most:
                    break
            return found
    finally:
        consumer.close()


def _latest(
    consumer: Consumer, settings: Settings, names: Names, workspace: Workspace, reach: int
) -> list[bytes]:
    topic, seconds = names.topic(EVENTS), settings.kafka.timeout_seconds
    key = workspace.encode()
    number = partition_of(key, len(partitions_of(consumer, topic, seconds)))
    _, end = bounds(consumer, topic, number, seconds)
    starts = {number: max(0, end - reach)}
    messages = read_to_end(
        consumer, topic, partitions=[number], starts=starts, timeout_seconds=seconds
    )
    return [each.value() or b"" for each in messages if each.key() == key][::-1]


def _users(values: Iterable[bytes], decoder: Decoder, most: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        try:
            user = Event.from_record(decoder.decode(value)).user_id
        except Undeliverable:
            continue
        if user:
            found[user] = None
        if len(found) == most:
            break
    return tuple(found)
