"""Reading what has come, as soon as something has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message


def arrivals(consumer: Consumer, most: int, timeout_seconds: float) -> list[Message]:
    """Give what has come, so much at most; wait only while that is nothing.

    librdkafka waits out the whole timeout for a batch that is not full: so one first.
    """
    first = consumer.consume(1, timeout_seconds)
    return first + consumer.consume(most - 1, 0) if first else first
