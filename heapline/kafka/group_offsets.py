"""Where a consumer group stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from heapline.kafka.asking import ask
from heapline.kafka.clients import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient


def group_offsets(
    admin: AdminClient, group: str, topic: str, partitions: Iterable[int], timeout_seconds: float
) -> dict[int, int]:
    """Give a group's committed offsets by partition; negative where it has committed none.

    Args:
        admin: who asks; its answers come only while it lives.
        group: its full name.
        topic: likewise.
        partitions: at least one.
        timeout_seconds: how long the question may take.

    Raises:
        KafkaUnavailable: the brokers do not answer.
    """
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, n) for n in partitions])

    def question(seconds: float) -> dict[int, int]:
        answers = admin.list_consumer_group_offsets([asked], request_timeout=seconds)
        found = answers[group].result().topic_partitions
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return {each.partition: each.offset for each in found}

    try:
        return ask(question, timeout_seconds)
    except KafkaException as error:
        raise translated(error) from error


def committed(
    consumer: Consumer, topic: str, partitions: Iterable[int], timeout_seconds: float
) -> list[TopicPartition]:
    """Give where a consumer's group stands in a topic, once no commit is under way any more.

    Args:
        consumer: of that group; it need not have joined.
        topic: its full name.
        partitions: of it.
        timeout_seconds: how long the question may take.

    Raises:
        KafkaException: what the brokers said last, also of a single partition.
    """
    asked = [TopicPartition(topic, number) for number in partitions]

    def question(seconds: float) -> list[TopicPartition]:
        found = consumer.committed(asked, timeout=seconds)
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return found

    return ask(question, timeout_seconds)
