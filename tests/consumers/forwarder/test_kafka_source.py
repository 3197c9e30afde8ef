"""What the source of records asks the brokers, and what it does not let pass."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from consumers.forwarder.kafka_source import KafkaSource
from consumers.forwarder.record import Partition
from heapline.clock import SystemClock
from heapline.errors import KafkaUnavailable
from heapline.kafka import topics
from heapline.kafka.clients import consumer_config, translated
from tests.forwarding.harness import wait_until
from tests.on_kafka import make_topics, settings_for, transaction_producer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.world import World
    from heapline.settings import Settings


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Give settings of the shared world, with topics, that wait for no answer for long."""
    made = settings_for(world, prefix)
    make_topics(made)
    return made.model_copy(update={"kafka": made.kafka.model_copy(update={"timeout_seconds": 1.0})})


@pytest.fixture
def source(settings: Settings) -> Iterator[KafkaSource]:
    """Give a source that is no member yet."""
    made = KafkaSource(settings.kafka, topics.Names(settings.kafka.prefix), SystemClock())
    yield made
    made.abandon()


def _commit_in_transaction(producer: Producer, settings: Settings, place: Partition) -> None:
    """Put offset 7 into an open transaction, as one who is no member may in an empty group."""
    group = topics.Names(settings.kafka.prefix).group(topics.FORWARDER_GROUP)
    consumer = Consumer(consumer_config(settings.kafka, "test", group))
    try:
        producer.send_offsets_to_transaction(
            [TopicPartition(place.topic, place.number, 7)], consumer.consumer_group_metadata(), 20
        )
    finally:
        consumer.close()


def _answer(source: KafkaSource, place: Partition) -> int:
    """Ask until there is an answer."""
    found: dict[Partition, int] = {}

    def is_answered() -> bool:
        with suppress(KafkaException):
            found.update(source.committed([place]))
        return bool(found)

    wait_until(is_answered)
    return found[place]


@pytest.mark.parametrize("is_committed", [True, False])
def test_offsets_in_an_open_transaction_are_waited_for(
    settings: Settings,
    source: KafkaSource,
    is_committed: bool,  # noqa: FBT001 -- the case
) -> None:
    """Who takes over must not start from the offset before, or all after it is settled twice."""
    place = Partition(topics.Names(settings.kafka.prefix).topic(topics.EVENTS), 0)
    assert _answer(source, place) == -1
    producer = transaction_producer(settings)
    producer.begin_transaction()
    _commit_in_transaction(producer, settings, place)
    with pytest.raises(KafkaException) as refused:
        source.committed([place])
    assert isinstance(translated(refused.value), KafkaUnavailable)
    (producer.commit_transaction if is_committed else producer.abort_transaction)(20)
    assert _answer(source, place) == (7 if is_committed else -1)


def test_who_is_no_member_sends_no_offsets(source: KafkaSource) -> None:
    """The brokers would take them, from anybody."""
    with pytest.raises(KafkaException, match="_ASSIGNMENT_LOST") as refused:
        source.group_metadata()
    assert refused.value.args[0].retriable()
