"""A member's generation, as librdkafka itself writes it."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer

from consumers.forwarder.membership import is_without_generation

if TYPE_CHECKING:
    from collections.abc import Iterator

_JOINS_SECONDS = 60.0


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    """Give a consumer with librdkafka's cluster of one broker in memory, not subscribed yet."""
    made = Consumer(
        {
            "bootstrap.servers": "none",
            "test.mock.num.brokers": 1,
            "group.id": "a group",
            "log_level": 0,
        }
    )
    yield made
    made.close()


def test_before_it_joins_and_after(consumer: Consumer) -> None:
    """Only a member has a generation."""
    assert is_without_generation(consumer.consumer_group_metadata())
    (broker,) = consumer.list_topics(timeout=20).brokers.values()
    producer = Producer({"bootstrap.servers": f"{broker.host}:{broker.port}"})
    producer.produce("events", b"makes the topic")
    assert producer.flush(20) == 0
    consumer.subscribe(["events"])
    deadline = time.monotonic() + _JOINS_SECONDS
    while is_without_generation(consumer.consumer_group_metadata()):
        assert time.monotonic() < deadline, "it does not join"
        consumer.poll(0.1)
    assert consumer.memberid()


@pytest.mark.parametrize(("generation", "is_without"), [(-1, True), (0, False), (2**31 - 1, False)])
def test_a_member_whose_generation_was_refused(
    generation: int,
    is_without: bool,  # noqa: FBT001 -- the case
) -> None:
    """It has an id still."""
    metadata = b"CGMDv2:" + struct.pack("=i", generation) + b"a group\0member-1\0\1"
    assert is_without_generation(metadata) == is_without


def test_another_form_tells_nothing() -> None:
    """The brokers' own check is then the only one."""
    assert not is_without_generation(b"CGMDv3:\xff\xff\xff\xff")
    assert not is_without_generation(b"")
