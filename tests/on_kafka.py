"""What tests on the real broker share: settings, topics, writing and reading records."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # only its stub lacks it

from heapline.kafka.asking import ask
from heapline.kafka.clients import (
    admin,
    consumer_config,
    lone_consumer,
    producer_config,
    transactional_producer,
)
from heapline.kafka.codec import Encoder
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names, Topic
from heapline.settings import KafkaSettings, SchemaRegistrySettings, Settings
from operations.schemas import register
from operations.topics import TopicAdministrator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devstack.world import World

_MARKERS_SKIPPED: Final = "these partitions are likely deleted already and hence can be skipped"


def settings_for(world: World, prefix: str) -> Settings:
    """Give settings that point to a world, without a look at the environment's own."""
    return Settings(
        _env_file=None,
        kafka=KafkaSettings(
            bootstrap_servers=world.bootstrap_servers, prefix=prefix, timeout_seconds=10.0
        ),
        schema_registry=SchemaRegistrySettings(url=world.registry_url),
        instance_id=f"test-{uuid.uuid4().hex[:8]}",
    )


def environment_for(world: World, prefix: str) -> dict[str, str]:
    """Give the same as `settings_for`, by environment variable."""
    return {
        **world.environment(),
        "HEAPLINE_KAFKA__PREFIX": prefix,
        "HEAPLINE_INSTANCE_ID": f"test-{uuid.uuid4().hex[:8]}",
    }


def make_topics(settings: Settings, partitions: int = 3) -> Names:
    """Make heapline's topics and register its schemas."""
    names = Names(settings.kafka.prefix)
    TopicAdministrator(settings.kafka).apply(partitions)
    with Registry(settings.schema_registry) as schemas:
        register(schemas, names)
    return names


def make_topic(settings: Settings, name: str, partitions: int = 1) -> str:
    """Make one topic with the prefix; give its full name."""
    full = settings.kafka.prefix + name
    client = admin(settings.kafka)  # its answers come only while it lives
    client.create_topics([NewTopic(full, partitions, 1)])[full].result(10)
    while client.list_topics(full, 10).topics[full].error is not None:
        time.sleep(0.05)  # created is not yet known to every part of the broker
    return full


def encoder_for(settings: Settings, names: Names, topic: Topic) -> Encoder:
    """Give the encoder of a topic's registered contract."""
    assert topic.schema is not None
    with Registry(settings.schema_registry) as schemas:
        return Encoder(topic.schema, schemas.id_for_writing(names, topic))


def plain_producer(settings: Settings) -> Producer:
    """Make an idempotent producer as every role's."""
    return Producer(producer_config(settings.kafka, "test"))


def transaction_producer(settings: Settings, name: str = "test") -> Producer:
    """Make a transactional producer, ready to begin."""
    transactional_id = f"{settings.kafka.prefix}{name}"
    producer = transactional_producer(settings.kafka, "test", transactional_id)
    producer.init_transactions(20)
    return producer


def write(settings: Settings, topic: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records given as keyword arguments of `Producer.produce`."""
    producer = plain_producer(settings)
    for each in records:
        producer.produce(topic, **each)
    assert producer.flush(20) == 0


def commit(settings: Settings, group: str, *places: TopicPartition) -> None:
    """Commit offsets for a group; a commit that fails for one partition raises nothing itself."""
    consumer = Consumer(consumer_config(settings.kafka, "test", group))

    def question(_seconds: float) -> None:
        done = consumer.commit(offsets=list(places), asynchronous=False)
        for each in done or ():
            if each.error is not None:
                raise KafkaException(each.error)

    try:
        ask(question, 60)
    finally:
        consumer.close()


def read_all(settings: Settings, topic: str) -> list[Message]:
    """Read every committed record of a topic, also those whose commit is only just under way."""
    consumer = lone_consumer(settings.kafka, "test")
    try:
        asking = admin(settings.kafka)
        ends = Logs(asking, settings.kafka.timeout_seconds).ends(
            topic, partitions_of(consumer, topic)
        )
        return list(read_to_end(consumer, topic, ends=ends))
    finally:
        consumer.close()


def said_of_markers(world: World) -> str:
    """Say whether the broker ended transactions without their markers; empty if it did not.

    It does where a partition has no leader at the transaction's end, as right after a start
    (KAFKA-20734): what it says of such a transaction is wrong, and nothing of ours can mend it.
    """
    skipped = world.kafka.log.read_text("utf-8", "replace").count(_MARKERS_SKIPPED)
    if not skipped:
        return ""
    return f"the broker ended {skipped} transactions without their markers (KAFKA-20734)"
