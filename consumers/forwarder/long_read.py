"""One read put together from many calls, while partitions come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class Placed(Protocol):
    """The part of a Kafka message that is looked at here."""

    def partition(self) -> int | None:
        """Give the number of its partition."""
        ...


_M = TypeVar("_M", bound=Placed)


class LongRead(Generic[_M]):
    """Messages read so far.

    librdkafka tells of partitions coming and going from within a call. A partition given up may be
    back before the read is over, and is then read from the group's offset on: what was read of it
    before would come twice, or hide what lies between. Of the call's own messages librdkafka takes
    out those that were read before (`rd_kafka_toppar_op_version_bump`), so what is there of a
    partition that is ours again when the call ends was read since.

    Args:
        owns: tells whether a partition is ours now.

    Attributes:
        messages: what may be decided on.
    """

    def __init__(self, owns: Callable[[int], bool]) -> None:
        self.messages: list[_M] = []
        self._owns = owns
        self._given_up: set[int] = set()

    def give_up(self, numbers: Collection[int]) -> None:
        """Take note, during a call, that these partitions are ours no more."""
        self._given_up.update(numbers)

    def take(self, call: Callable[[], list[_M]]) -> int:
        """Make a call and keep what counts; give how many messages it gave."""
        self._given_up.clear()
        read = call()
        if not self._given_up:
            self.messages += read
            return len(read)
        gone, owns = self._given_up, self._owns
        self.messages = [m for m in self.messages if m.partition() not in gone]
        self.messages += [m for m in read if m.partition() not in gone or owns(m.partition() or 0)]
        return len(read)
