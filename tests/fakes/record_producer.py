"""A record producer and an event schema without Kafka or registry."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from heapline.errors import HeaplineError, KafkaUnavailable
from heapline.events.refusals import Refusal, refuse
from heapline.kafka.topics import EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from heapline.events.record_producer import Done


class FakeRecordProducer:
    """Keeps records in memory; see `heapline.events.record_producer.RecordProducer`.

    Attributes:
        topic_problem: raised by `check_topic` while set.
        capacity: records the queue takes.
        brokers_answer: whether polling settles anything.
        failures: errors for the next records, in order, instead of acknowledgement.
        acknowledged: what the brokers hold: key and value.
        sleep: told how long a poll that settled nothing has waited.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self.topic_problem: HeaplineError | None = None
        self.capacity = capacity
        self.brokers_answer = True
        self.failures: deque[HeaplineError | None] = deque()
        self.acknowledged: list[tuple[bytes, bytes]] = []
        self.sleep: Callable[[float], None] = lambda _: None
        self.is_closed = False
        self._queue: deque[tuple[bytes, bytes, Done]] = deque()

    def check_topic(self, seconds: float) -> None:
        """See `RecordProducer.check_topic`."""
        if self.topic_problem is not None:
            self.sleep(seconds)
            raise self.topic_problem

    def send(self, key: bytes, value: bytes, done: Done) -> bool:
        """See `RecordProducer.send`."""
        if len(key) + len(value) > EVENT_BYTES:
            raise refuse(Refusal.TOO_LARGE, "the record is larger than the topic takes")
        if len(self._queue) >= self.capacity:
            return False
        self._queue.append((key, value, done))
        return True

    def poll(self, seconds: float) -> None:
        """See `RecordProducer.poll`."""
        if not self.brokers_answer or not self._queue:
            self.sleep(seconds)
            return
        while self._queue:
            key, value, done = self._queue.popleft()
            error = self.failures.popleft() if self.failures else None
            if error is None:
                self.acknowledged.append((key, value))
            done(error)

    def close(self) -> None:
        """See `RecordProducer.close`."""
        self.is_closed = True
        while self._queue:
            self._queue.popleft()[2](KafkaUnavailable("given up"))


class FakeEventSchema:
    """Knows one schema id, or raises what it is told to; see `EventSchema`."""

    def __init__(self, schema_id: int = 7) -> None:
        self.schema_id = schema_id
        self.problem: HeaplineError | None = None
        self.asked = 0

    def event_schema_id(self) -> int:
        """See `EventSchema.event_schema_id`."""
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return self.schema_id
