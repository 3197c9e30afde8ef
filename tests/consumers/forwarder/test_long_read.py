"""What one read keeps of partitions that come and go while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from consumers.forwarder.long_read import LongRead

if TYPE_CHECKING:
    from collections.abc import Callable


class At(NamedTuple):
    """A message, as far as it matters here."""

    number: int
    offset: int

    def partition(self) -> int:
        """See `Placed.partition`."""
        return self.number


def at(number: int, *offsets: int) -> list[At]:
    """Make messages of a partition."""
    return [At(number, offset) for offset in offsets]


class Group:
    """What is owned, and a read in which that changes."""

    def __init__(self, *owned: int) -> None:
        self.owned = set(owned)
        self.read: LongRead[At] = LongRead(self.owned.__contains__)

    def gives_up(self, number: int) -> None:
        """Take a partition away, as librdkafka does within a call."""
        self.owned.discard(number)
        self.read.give_up([number])

    def call(self, gives: list[At], *happens: Callable[[], None]) -> int:
        """Make a call in which things happen before it gives its messages."""

        def consume() -> list[At]:
            for each in happens:
                each()
            return gives

        return self.read.take(consume)

    def loses(self, number: int) -> Callable[[], None]:
        """Give what takes a partition away."""
        return lambda: self.gives_up(number)

    def gains(self, number: int) -> Callable[[], None]:
        """Give what brings a partition."""
        return lambda: self.owned.add(number)


def test_calls_follow_each_other() -> None:
    """While nothing changes hands, everything is kept in its order, and counted call by call."""
    group = Group(0, 1)
    assert group.call(at(0, 1, 2)) == 2
    assert group.call([*at(1, 5), *at(0, 3)]) == 2
    assert group.call([]) == 0
    assert group.read.messages == [*at(0, 1, 2), *at(1, 5), *at(0, 3)]


def test_what_was_read_of_a_partition_given_up_is_dropped() -> None:
    """Others keep theirs."""
    group = Group(0, 1)
    group.call([*at(0, 1), *at(1, 7)])
    group.call(at(1, 8), group.loses(0))
    assert group.read.messages == at(1, 7, 8)


def test_a_partition_that_is_back_within_one_call_is_read_anew() -> None:
    """What earlier calls gave would come twice; what this one gives was read since."""
    group = Group(0, 1)
    group.call([*at(0, 5, 6), *at(1, 7)])
    group.call(at(0, 3, 4, 5, 6), group.loses(0), group.gains(0))
    assert group.read.messages == [*at(1, 7), *at(0, 3, 4, 5, 6)]


def test_a_partition_that_is_back_by_the_next_call_is_read_anew() -> None:
    """The call in which it left may still give what was read before: kept, it would hide 3 and 4.

    Whoever reads on from 6 takes everything before it for read.
    """
    group = Group(0, 1)
    assert group.call([*at(0, 5, 6), *at(1, 7)], group.loses(0)) == 3
    group.call([], group.gains(0))
    assert group.read.messages == at(1, 7)
    group.call(at(0, 3, 4, 5, 6))
    assert group.read.messages == [*at(1, 7), *at(0, 3, 4, 5, 6)]


def test_what_came_after_a_return_stays_when_another_partition_leaves() -> None:
    """Each departure takes only what it must."""
    group = Group(0, 1)
    group.call(at(0, 5), group.loses(0), group.gains(0))
    group.call(at(1, 7))
    group.call(at(0, 6), group.loses(1))
    assert group.read.messages == at(0, 5, 6)
