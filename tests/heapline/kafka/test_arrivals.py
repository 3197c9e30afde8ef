"""Records are given as soon as there are any."""

from __future__ import annotations

from confluent_kafka import Consumer, Message

from heapline.kafka.arrivals import arrivals


class Queue(Consumer):
    """A consumer with so many messages, which waits as librdkafka's does: for a full batch."""

    def __init__(self, messages: int) -> None:
        super().__init__({"group.id": "test", "logger": None})
        self.left = messages
        self.waited_seconds = 0.0

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        """Give what there is."""
        given = min(num_messages, self.left)
        self.left -= given
        self.waited_seconds += timeout if given < num_messages else 0.0
        return [Message() for _ in range(given)]


def test_what_is_there_is_given_at_once() -> None:
    """A batch that is not full is not waited for."""
    queue = Queue(3)
    assert len(arrivals(queue, 500, 60.0)) == 3
    assert queue.waited_seconds == 0.0


def test_no_more_than_asked_for() -> None:
    """The rest comes next time."""
    queue = Queue(7)
    assert [len(arrivals(queue, 5, 60.0)) for _ in range(2)] == [5, 2]


def test_nothing_is_waited_for_once() -> None:
    """An empty answer took the timeout, and no more."""
    queue = Queue(0)
    assert arrivals(queue, 500, 0.25) == []
    assert queue.waited_seconds == 0.25
