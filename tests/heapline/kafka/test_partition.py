from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heapline.kafka.partition import murmur2, partition_of
from tests.on_kafka import make_topic, plain_producer, settings_for

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from devstack.world import World


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_is_that_of_java_clients(key: bytes, signed: int) -> None:
    """The vectors of Apache Kafka's own UtilsTest come out."""
    assert murmur2(key) == signed % 2**32


def test_partition_is_within_bounds_for_negative_hashes() -> None:
    """A hash with its sign bit set is made positive before the remainder, as Java does."""
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7


def test_librdkafka_chooses_the_same(world: World, prefix: str) -> None:
    """Our producers put each key where `partition_of` says, empty and non-ASCII keys too."""
    settings = settings_for(world, prefix)
    topic = make_topic(settings, "partitions", 7)
    chosen: dict[bytes, int] = {}

    def note(error: KafkaError | None, message: Message) -> None:
        assert error is None
        chosen[message.key() or b""] = message.partition() or 0

    keys = [b"", *(f"workspace-{n}-é".encode() * (n % 5 + 1) for n in range(200))]
    producer = plain_producer(settings)
    for key in keys:
        producer.produce(topic, b"", key, on_delivery=note)
    assert producer.flush(20) == 0
    assert chosen == {key: partition_of(key, 7) for key in keys}
