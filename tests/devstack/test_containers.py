"""The same smoke test against Kafka in a container, where a Docker daemon answers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGE = "confluentinc/cp-kafka:7.9.2"
"""The one kind of image whose start script testcontainers knows."""


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    """Start Kafka in a container, or skip with the reason."""
    asked = subprocess.run(
        [sys.executable, "-c", "import docker; docker.from_env().ping()"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        pytest.skip(f"no Docker daemon answers: {asked.stderr.strip().splitlines()[-1][:150]}")
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 -- needs Docker

    with KafkaContainer(_IMAGE).with_kraft() as kafka:
        yield kafka.get_bootstrap_server()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_record_is_read_back(bootstrap_servers: str, prefix: str) -> None:
    """What is produced to the container's Kafka is consumed from it."""
    topic = f"{prefix}smoke"
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    producer.produce(topic, b"value", b"key")
    assert producer.flush(30) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    record = consumer.poll(30)
    consumer.close()
    assert record is not None
    assert (record.key(), record.value()) == (b"key", b"value")
