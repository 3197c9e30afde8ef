"""Publishing through a real broker and registry."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from heapline.errors import KafkaUnavailable, NotReady, RegistryUnavailable
from heapline.events import AsyncEventPublisher, Event, EventPublisher, NotAcknowledged, Patience
from heapline.events.outbox import RECORD_BYTES
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS, Names
from operations.topics import TopicAdministrator
from tests.on_kafka import make_topics, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.world import World

PARTITIONS = 6
WORKSPACES = ["acme", "ümlaut-é", "用户", "w", "a-much-longer-workspace-key-than-most", "12"]


def java_partition(key: bytes, partitions: int) -> int:
    """Give the partition Java's default partitioner chooses.

    Written after Kafka's `Utils.murmur2` and `Utils.toPositive`, with Java's signed 32-bit
    arithmetic played out, and sharing nothing with `heapline.kafka.partition`.
    """

    def int32(number: int) -> int:
        return (number + 2**31) % 2**32 - 2**31

    def shifted(number: int, by: int) -> int:
        return (number % 2**32) >> by

    mix = 0x5BD1E995
    hashed = int32(0x9747B28C ^ len(key))
    for start in range(0, len(key) // 4 * 4, 4):
        word = int32(int.from_bytes(key[start : start + 4], "little", signed=True) * mix)
        word = int32((word ^ shifted(word, 24)) * mix)
        hashed = int32(hashed * mix) ^ word
    tail = key[len(key) // 4 * 4 :]
    if tail:
        for place in reversed(range(len(tail))):
            hashed ^= tail[place] << (8 * place)
        hashed = int32(hashed * mix)
    hashed ^= shifted(hashed, 13)
    hashed = int32(hashed * mix)
    hashed ^= shifted(hashed, 15)
    return (hashed & 0x7FFFFFFF) % partitions


def prepare(world: World, prefix: str) -> None:
    """Make topics and register contracts."""
    make_topics(settings_for(world, prefix), PARTITIONS)


def read_back(world: World, prefix: str, count: int) -> list[tuple[Message, Event]]:
    """Read and decode so many records."""
    topic = Names(prefix).topic(EVENTS)
    consumer = Consumer({"bootstrap.servers": world.bootstrap_servers, "group.id": "unused"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    messages: list[Message] = []
    while len(messages) < count:
        got = consumer.consume(count - len(messages), 10)
        assert got, f"{len(messages)} of {count} records"
        messages.extend(got)
    consumer.close()
    with Registry(settings_for(world, prefix).schema_registry) as schemas:
        decoder = Decoder("CommandAIEvent", schemas)
        return [(each, Event.from_record(decoder.decode(each.value()))) for each in messages]


def nudge(number: int, workspace: str) -> dict[str, Any]:
    """Give a payload."""
    return {
        "name": "nudge_shown",
        "workspace": workspace,
        "data": {"n": number, "nested": {"text": "é\u2028"}},
        "user_id": number,
        "timestamp": f"2026-03-01T09:30:00.{number % 1000:03}Z",
    }


def test_published_events_come_back(world: World, prefix: str) -> None:
    """Key, partition, event and time come out as they went in; each event once."""
    prepare(world, prefix)
    ids: set[str] = set()
    with EventPublisher(world.bootstrap_servers, world.registry_url, prefix=prefix) as publisher:
        for number in range(600):
            ids.add(publisher.publish(nudge(number, WORKSPACES[number % len(WORKSPACES)])))
    assert len(ids) == 600
    found = read_back(world, prefix, 600)
    assert {event.event_id for _, event in found} == ids
    for message, event in found:
        key = message.key() or b""
        assert key == event.workspace.encode()
        assert message.partition() == java_partition(key, PARTITIONS)
        assert event.properties == f'{{"n":{event.user_id},"nested.text":"é\u2028"}}'
        assert event.timestamp_ms == 1_772_357_400_000 + int(event.user_id or 0)


def test_async_publishing(world: World, prefix: str) -> None:
    """The asynchronous publisher delivers likewise."""
    prepare(world, prefix)

    async def publish() -> None:
        async with AsyncEventPublisher(
            world.bootstrap_servers, world.registry_url, prefix=prefix
        ) as publisher:
            one = await publisher.publish(nudge(0, "acme"))
            many = await publisher.publish_many([nudge(number, "w") for number in range(1, 300)])
            assert all(result.accepted for result in many)
            assert len({one, *(result.event_id for result in many)}) == 300

    asyncio.run(publish())
    assert len(read_back(world, prefix, 300)) == 300


def test_the_largest_record_fits(world: World, prefix: str) -> None:
    """What is not refused as too large is taken by the broker, even if it cannot be compressed."""
    prepare(world, prefix)
    noise = random.Random(1).randbytes(RECORD_BYTES).hex()[: RECORD_BYTES - 300]
    with EventPublisher(
        world.bootstrap_servers,
        world.registry_url,
        prefix=prefix,
        librdkafka={"compression.type": "none"},
    ) as publisher:
        publisher.publish(nudge(1, "acme") | {"data": {"noise": noise}})
    assert len(read_back(world, prefix, 1)) == 1


def test_nothing_is_registered_on_the_way(world: World, prefix: str) -> None:
    """Without its schema the publisher names the command, and registers nothing."""
    settings = settings_for(world, prefix)
    TopicAdministrator(settings.kafka).apply(PARTITIONS)
    publisher = EventPublisher(world.bootstrap_servers, world.registry_url, prefix=prefix)
    for _ in range(2):
        with pytest.raises(NotReady, match="heapline schemas register"):
            publisher.publish(nudge(1, "acme"))
    publisher.close()
    with Registry(settings.schema_registry) as schemas:
        assert not schemas.exists(Names(prefix).subject(EVENTS))


def test_no_registry(world: World, prefix: str) -> None:
    """A registry that does not answer is told apart from one that lacks the schema."""
    prepare(world, prefix)
    publisher = EventPublisher(world.bootstrap_servers, "http://127.0.0.1:1", prefix=prefix)
    with pytest.raises(RegistryUnavailable):
        publisher.open()
    publisher.close()


@pytest.mark.slow
def test_a_broker_that_goes_away(own_world: Callable[..., World]) -> None:
    """It comes back: nothing is lost or doubled. It stays away: every event is reported so."""
    world = own_world(servers=("kafka", "registry"))
    prepare(world, "")
    with EventPublisher(world.bootstrap_servers, world.registry_url) as publisher:
        for number in range(100):
            publisher.publish(nudge(number, "acme"))
        publisher.flush()
        world.kafka.stop()
        for number in range(100, 200):
            publisher.publish(nudge(number, "acme"))
        with pytest.raises(NotAcknowledged) as missing:
            publisher.flush(0.5)
        assert missing.value.waiting == 100
        world.kafka.start()
        publisher.flush(60)
    found = read_back(world, "", 200)
    assert sorted(int(event.user_id or -1) for _, event in found) == list(range(200))

    patience = Patience(delivery_seconds=1.5, flush_seconds=20)
    publisher = EventPublisher(world.bootstrap_servers, world.registry_url, patience=patience)
    publisher.open()
    world.kafka.kill()
    results = publisher.publish_many([nudge(number, "acme") for number in range(5)])
    assert [type(result.error) for result in results] == [KafkaUnavailable] * 5
    with pytest.raises(NotAcknowledged) as missing:
        publisher.close()
    assert (missing.value.waiting, missing.value.failed) == (0, 5)
