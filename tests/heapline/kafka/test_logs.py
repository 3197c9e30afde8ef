"""Where partitions and groups stand, also while the brokers are still finding out."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from heapline.errors import KafkaUnavailable
from heapline.kafka.clients import admin, common
from heapline.kafka.group_offsets import group_offsets
from heapline.kafka.logs import Logs
from tests.on_kafka import commit, make_topic, settings_for, write

if TYPE_CHECKING:
    from devstack.world import World
    from heapline.settings import Settings


class Settling(AdminClient):
    """An admin client whose first answers to each question only say "not now"."""

    def __init__(self, config: dict[str, Any], error: int, times: int = 2) -> None:
        super().__init__(config)
        self._error = KafkaError(error)
        self._times = times
        self.asked: dict[str, int] = {}

    def list_offsets(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 -- handed on
        """Answer, or not yet."""
        return self._answers("offsets", super().list_offsets(*args, **more))

    def describe_topics(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 -- handed on
        """Answer, or not yet."""
        return self._answers("topics", super().describe_topics(*args, **more))

    def list_consumer_group_offsets(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 -- handed on
        """Answer, or not yet."""
        return self._answers("group", super().list_consumer_group_offsets(*args, **more))

    def _answers(self, question: str, answers: dict[Any, Any]) -> dict[Any, Any]:
        self.asked[question] = self.asked.get(question, 0) + 1
        if self.asked[question] > self._times:
            return answers
        failed: Future[object] = Future()
        failed.set_exception(KafkaException(self._error))
        return dict.fromkeys(answers, failed)


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


def test_logs_are_told_once_the_brokers_know(settings: Settings) -> None:
    """Starts, ends and the topic's id, whatever the first answers are."""
    topic = make_topic(settings, "t", 2)
    write(settings, topic, [{"value": b"x", "partition": 1}] * 3)
    settling = Settling(common(settings.kafka, "test"), KafkaError.NOT_LEADER_FOR_PARTITION)
    found = Logs(settling, 10).of(topic, [0, 1])
    assert found == Logs(admin(settings.kafka), 10).of(topic, [0, 1])
    assert (found[0].end, found[1].end) == (0, 3)
    assert settling.asked == {"topics": 3, "offsets": 4}


def test_a_partition_that_is_not_there_is_an_error(settings: Settings) -> None:
    """At the latest when the time is over."""
    topic = make_topic(settings, "t")
    with pytest.raises(KafkaException):
        Logs(admin(settings.kafka), 0.5).of(topic, [7])


def test_a_groups_offsets_are_told_once_its_coordinator_is_there(settings: Settings) -> None:
    """Partitions without one are negative."""
    topic = make_topic(settings, "t", 2)
    group = f"{settings.kafka.prefix}group"
    commit(settings, group, TopicPartition(topic, 1, 5))
    settling = Settling(common(settings.kafka, "test"), KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    found = group_offsets(settling, group, topic, [0, 1], 10)
    assert found[1] == 5
    assert found[0] < 0


def test_a_coordinator_that_never_comes_is_an_error(settings: Settings) -> None:
    """After the time for the question."""
    topic = make_topic(settings, "t")
    error = KafkaError.COORDINATOR_NOT_AVAILABLE
    settling = Settling(common(settings.kafka, "test"), error, times=1_000_000)
    with pytest.raises(KafkaUnavailable):
        group_offsets(settling, "group", topic, [0], 0.3)
