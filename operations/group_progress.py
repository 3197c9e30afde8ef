"""How far a consumer group has come, and waiting until it has passed some offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from heapline.clock import Deadline
from heapline.kafka.asking import ask
from heapline.kafka.clients import admin, translated
from heapline.kafka.group_offsets import group_offsets
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import partitions_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from heapline.clock import Clock
    from heapline.kafka.topics import Names
    from heapline.settings import KafkaSettings

_AGAIN_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a topic ended at one moment, and the group that reads it.

    Attributes:
        group, topic: full names.
        ends: by partition.
    """

    group: str
    topic: str
    ends: Mapping[int, int]


class GroupProgress:
    """Asks the brokers.

    Raises:
        KafkaUnavailable: by every method, where they do not answer.
    """

    def __init__(self, kafka: KafkaSettings, names: Names, clock: Clock) -> None:
        self._admin = admin(kafka)
        self._names = names
        self._timeout = kafka.timeout_seconds
        self._clock = clock

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions.

        Raises:
            NotReady: there is no such topic.
        """
        return len(partitions_of(self._admin, topic, self._timeout))

    def mark(self, group: str, topic: str, partitions: Collection[int] | None = None) -> Mark:
        """Note where a topic ends now.

        Args:
            group: as in the catalogue.
            topic: its full name.
            partitions: which; all by default.

        Raises:
            NotReady: there is no such topic.
        """
        wanted = range(self.partitions(topic)) if partitions is None else partitions
        try:
            ends = Logs(self._admin, self._timeout).ends(topic, wanted)
        except KafkaException as error:
            raise translated(error) from error
        return Mark(self._names.group(group), topic, ends)

    def passed(self, mark: Mark, seconds: float) -> bool:
        """Wait until a group has committed up to the mark; False where it has not by then.

        A group without members is not waited for.
        """
        deadline = Deadline(self._clock, seconds if self._is_at_work(mark.group) else 0.0)
        while not self._has_passed(mark):
            if deadline.passed():
                return False
            self._clock.sleep(_AGAIN_SECONDS)
        return True

    def _is_at_work(self, group: str) -> bool:
        def question(seconds: float) -> bool:
            asked = self._admin.describe_consumer_groups([group], request_timeout=seconds)
            return bool(asked[group].result().members)

        try:
            return ask(question, self._timeout)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return False
            raise translated(error) from error

    def _has_passed(self, mark: Mark) -> bool:
        wanted = {number: end for number, end in mark.ends.items() if end > 0}
        if not wanted:
            return True
        committed = group_offsets(self._admin, mark.group, mark.topic, wanted, self._timeout)
        return all(committed.get(number, -1) >= end for number, end in wanted.items())
