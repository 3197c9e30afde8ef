"""What librdkafka says is said so that a person knows what to do."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from heapline.errors import Fenced, KafkaUnavailable, MustStop
from heapline.kafka.clients import translated


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
