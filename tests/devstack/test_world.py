"""The shared world is the real thing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

if TYPE_CHECKING:
    from devstack.world import World

_SCHEMA = '{"type": "record", "name": "Sample", "fields": [{"name": "a", "type": "string"}]}'


def test_a_transaction_is_read_back(world: World, prefix: str) -> None:
    """Kafka keeps a transactional record of 1 MB and gives it to a group."""
    topic = f"{prefix}events"
    admin = AdminClient({"bootstrap.servers": world.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(10)
    value = os.urandom(900_000)
    producer = Producer(
        {"bootstrap.servers": world.bootstrap_servers, "transactional.id": f"{prefix}t"}
    )
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, key=b"k", value=value)
    producer.commit_transaction(10)
    consumer = Consumer(
        {
            "bootstrap.servers": world.bootstrap_servers,
            "group.id": f"{prefix}g",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    record = consumer.poll(10)
    consumer.close()
    assert record is not None
    assert record.value() == value


def test_the_registry_refuses_incompatible_schemas(world: World, prefix: str) -> None:
    """The registry gives ids, finds schemas by id, and holds to FULL_TRANSITIVE."""
    subject = f"{prefix}events-value"
    changed = _SCHEMA.replace('"string"', '"bytes"').replace('"a"', '"b"')
    with SchemaRegistryClient({"url": world.registry_url}) as registry:
        schema_id = registry.register_schema(subject, Schema(_SCHEMA, "AVRO"))
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        assert registry.get_schema(schema_id).schema_str
        assert registry.test_compatibility(subject, Schema(changed, "AVRO")) is False
