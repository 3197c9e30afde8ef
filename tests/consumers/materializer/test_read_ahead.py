"""What is read in another thread comes in order, errors in their turn, and none is lost."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.assembler import MEMBERSHIPS
from consumers.materializer.parts import EndRead
from consumers.materializer.read_ahead import ReadAhead
from consumers.materializer.source import Displaced
from heapline.errors import RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.materializer.parts import Part
    from consumers.materializer.starting import There, TopicPartition


@dataclass
class Counting:
    """`Source` that gives what it is told, then its count of reads for ever.

    Attributes:
        first: what comes at the beginning.
        threads: who has read.
    """

    first: list[list[Part] | Exception] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    reads: int = 0

    def there(self) -> There:
        """See `Source.there`."""
        raise NotImplementedError

    def open(self, positions: Mapping[TopicPartition, int], *, whole_pages: bool = True) -> None:
        """See `Source.open`."""

    def read(self, timeout_seconds: float) -> list[Part]:
        """See `Source.read`."""
        del timeout_seconds
        self.threads.add(threading.get_ident())
        if self.first:
            came = self.first.pop(0)
            if isinstance(came, Exception):
                raise came
            return came
        self.reads += 1
        return [EndRead(MEMBERSHIPS, 0, self.reads)]

    def close(self) -> None:
        """See `Source.close`."""


def taken(ahead: ReadAhead) -> list[Part]:
    """Wait for the next."""
    deadline = time.monotonic() + 60
    while not (came := ahead.read(0.1)):
        assert time.monotonic() < deadline
    return came


def test_everything_comes_in_order() -> None:
    """Read by a thread of its own, which waits where nobody takes, and ends when it is told to."""
    source = Counting()
    with closing(ReadAhead(source)) as ahead:
        ahead.open({})
        read = [taken(ahead) for _ in range(300)]
    assert read == [[EndRead(MEMBERSHIPS, 0, number)] for number in range(1, 301)]
    after = source.reads
    assert source.threads.isdisjoint({threading.get_ident()})
    assert after < 1_000, "memory is bounded"
    assert source.read(0.0) == [EndRead(MEMBERSHIPS, 0, after + 1)]


def test_errors_come_in_their_turn() -> None:
    """A registry that is away does not end reading; everything else does."""
    end: list[Part] = [EndRead(MEMBERSHIPS, 0, 9)]
    source = Counting([end, RegistryUnavailable("away"), end, Displaced("cut"), end])
    with closing(ReadAhead(source)) as ahead:
        ahead.open({})
        assert taken(ahead) == end
        with pytest.raises(RegistryUnavailable):
            taken(ahead)
        assert taken(ahead) == end
        with pytest.raises(Displaced):
            taken(ahead)
        assert ahead.read(0.0) == []
    assert source.first == [end]


def test_one_that_was_never_opened_is_closed() -> None:
    """Nothing was begun that had to end."""
    ReadAhead(Counting()).close()
