"""What librdkafka says is said so that a person knows what to do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from heapline.errors import Fenced, KafkaUnavailable, MustStop
from heapline.kafka.clients import admin, told_in_full, transactional_producer, translated
from tests.on_kafka import settings_for

if TYPE_CHECKING:
    from confluent_kafka import Producer

    from devstack.world import World


@pytest.mark.parametrize(
    "code",
    [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE],
)
def test_nobody_there_names_the_setting(code: int) -> None:
    """And the command that starts a Kafka."""
    told = translated(KafkaException(KafkaError(code)))
    assert isinstance(told, KafkaUnavailable)
    assert "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS" in str(told)
    assert "heapline dev up" in str(told)


def test_other_troubles_keep_their_words() -> None:
    """A broker that answers is not said to be away."""
    told = translated(KafkaError(KafkaError.NOT_ENOUGH_REPLICAS))
    assert isinstance(told, KafkaUnavailable)
    assert "HEAPLINE" not in str(told)


def test_a_fenced_producer_and_a_fatal_error_are_told_apart() -> None:
    """One names the setting, the other ends the process."""
    assert isinstance(translated(KafkaError(KafkaError.PRODUCER_FENCED)), Fenced)
    fatal = KafkaError(KafkaError.UNKNOWN_PRODUCER_ID, "gone", fatal=True)
    assert isinstance(translated(fatal), MustStop)


@pytest.mark.slow
def test_what_a_fenced_producer_was_told_is_found_out(world: World, prefix: str) -> None:
    """`produce` only says that it is over; the reason is another process, and it is named."""
    kafka, topic = settings_for(world, prefix).kafka, f"{prefix}fenced"
    client = admin(kafka)
    client.create_topics([NewTopic(topic, 40, 1)])[topic].result()
    older, newer = (transactional_producer(kafka, "fenced", f"{prefix}id") for _ in range(2))
    older.init_transactions(30)
    older.begin_transaction()
    newer.init_transactions(30)
    with pytest.raises(KafkaException) as over:
        _produce_until_it_fails(older, topic)
    assert over.value.args[0].code() == KafkaError._FATAL
    assert isinstance(translated(told_in_full(over.value, older)), Fenced)
    passing = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    assert told_in_full(passing, older) is passing


def _produce_until_it_fails(producer: Producer, topic: str) -> None:
    for number in range(4_000):
        producer.produce(topic, b"value", partition=number % 40)
        time.sleep(0.01)
