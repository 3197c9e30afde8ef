"""What was read is divided where the partition changes, or records and errors do."""

from __future__ import annotations

from itertools import groupby

from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from consumers.materializer.source import neighbourhoods

END = KafkaError(KafkaError._PARTITION_EOF)
MESSAGES = st.builds(
    lambda topic, partition, error: Message(topic=topic, partition=partition, error=error),
    st.sampled_from(["m", "s"]),
    st.integers(0, 2),
    st.sampled_from([None, None, END]),
)


@given(st.lists(MESSAGES, max_size=12))
def test_neighbours_are_those_of_one_kind(messages: list[Message]) -> None:
    """As grouping them one by one gives; nothing is lost, and the order stays."""
    expected = [
        list(group)
        for _, group in groupby(
            messages, lambda each: (each.topic(), each.partition(), each.error() is None)
        )
    ]
    assert list(neighbourhoods(messages)) == expected
