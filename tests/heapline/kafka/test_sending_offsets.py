"""Offsets go into a transaction, or the caller learns in time that they did not."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from heapline.kafka.sending_offsets import send_offsets

if TYPE_CHECKING:
    from collections.abc import Callable

OFFSETS = [TopicPartition("events", 0, 7)]


class Sending:
    """A producer whose call does something else."""

    def __init__(self, does: Callable[[], object]) -> None:
        self._does = does
        self.sent: list[tuple[list[TopicPartition], object, float]] = []

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, timeout: float, /
    ) -> None:
        """See `Sender`."""
        self._does()
        self.sent.append((positions, group_metadata, timeout))


def test_they_are_sent() -> None:
    """As they are, with the membership, in the time given; once it returns, it is done."""
    producer = Sending(lambda: None)
    send_offsets(producer, OFFSETS, b"member", 3.0)
    assert producer.sent == [(OFFSETS, b"member", 3.0)]


def test_an_error_is_raised_as_it_is() -> None:
    """Whoever decides by its kind must not see another."""
    refused = KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True))

    def refuse() -> None:
        raise refused

    with pytest.raises(KafkaException) as raised:
        send_offsets(Sending(refuse), OFFSETS, b"member", 3.0)
    assert raised.value is refused


def test_a_call_that_does_not_return_is_told_in_time() -> None:
    """As timed out, and as what must be aborted."""
    returns = Event()
    producer = Sending(returns.wait)
    try:
        with pytest.raises(KafkaException, match="has not returned") as raised:
            send_offsets(producer, OFFSETS, b"member", 0.05)
    finally:
        returns.set()
    cause = raised.value.args[0]
    assert cause.code() == KafkaError._TIMED_OUT
    assert cause.txn_requires_abort()
