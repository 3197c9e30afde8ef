"""Where partitions start and end now, and which topic they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # only its stub lacks it

from heapline.kafka.asking import ask
from heapline.kafka.starting_point import Log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin import AdminClient


class Logs:
    """Asks the brokers.

    Args:
        admin: who asks; its answers come only while it lives.
        timeout_seconds: how long one question may take.
    """

    def __init__(self, admin: AdminClient, timeout_seconds: float) -> None:
        self._admin = admin
        self._timeout = timeout_seconds

    def of(self, topic: str, numbers: Iterable[int]) -> dict[int, Log]:
        """Give a topic's partitions as they are now.

        Raises:
            KafkaException: the brokers do not answer, or there is no such partition.
        """
        wanted = list(numbers)
        topic_id = self._topic_id(topic)
        starts = self._offsets(topic, wanted, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # stubs
        ends = self.ends(topic, wanted)
        return {n: Log(f"{topic}[{n}]", starts[n], ends[n], topic_id) for n in wanted}

    def ends(self, topic: str, numbers: Iterable[int]) -> dict[int, int]:
        """Give the offsets behind everything written, committed or not.

        Raises:
            KafkaException: the brokers do not answer, or there is no such partition.
        """
        return self._offsets(topic, list(numbers), OffsetSpec.latest())  # type: ignore[no-untyped-call]  # stubs

    def _topic_id(self, topic: str) -> str:
        asked = TopicCollection([topic])

        def question(seconds: float) -> str:
            futures = self._admin.describe_topics(asked, request_timeout=seconds)
            return str(futures[topic].result().topic_id)

        return ask(question, self._timeout)

    def _offsets(self, topic: str, numbers: list[int], spec: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(topic, number): spec for number in numbers}

        def question(seconds: float) -> dict[int, int]:
            futures = self._admin.list_offsets(asked, request_timeout=seconds)
            return {there.partition: future.result().offset for there, future in futures.items()}

        return ask(question, self._timeout)
