"""The questions of a targeting service, and how long the answers take."""

from __future__ import annotations

import random
import time
from array import array
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bench.report import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heapline.memberships import MembershipReader

_NANOSECONDS: Final = 1_000
_SEED: Final = 11
_BATCHES: Final = 10


class Times(NamedTuple):
    """Microseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, took: Sequence[int]) -> Times:
        """Sum nanoseconds up."""
        return cls(quantile(took, 0.5) / _NANOSECONDS, quantile(took, 0.99) / _NANOSECONDS)

    def figures(self) -> dict[str, float]:
        """Give it for JSON."""
        return {"p50_us": self.p50, "p99_us": self.p99}


class Asked(NamedTuple):
    """What is asked.

    Attributes:
        users, segments: ids to choose from.
        questions: how many of each kind; sets are combined a hundredth as often.
        keys: pairs in one batch.
    """

    users: Sequence[str]
    segments: Sequence[str]
    questions: int
    keys: int

    def pairs(self, count: int) -> list[tuple[str, str]]:
        """Give users and segments, every id of a user a text of its own.

        A service's ids come with its requests, and are in the cache when it asks. Those of the
        process that made them all lie scattered among a million others, and each would cost one
        more miss.
        """
        chance = random.Random(_SEED)
        users = [user.encode().decode() for user in chance.choices(self.users, k=count)]
        return list(zip(users, chance.choices(self.segments, k=count), strict=True))

    def triples(self) -> list[tuple[str, str, str]]:
        """Give three different segments at a time."""
        chance, count = random.Random(_SEED), max(1, self.questions // 100)
        some = [chance.sample(list(self.segments), 3) for _ in range(count)]
        return [(a, b, c) for a, b, c in some]


class Answerer(Protocol):
    """Something that knows memberships."""

    def is_member(self, user: str, segment: str) -> bool:
        """Tell whether a user is in a segment."""
        ...

    def segments_of(self, user: str) -> Sequence[str]:
        """Give the segments a user is in."""
        ...

    def check(self, users: Sequence[str], segments: Sequence[str]) -> Sequence[bool | None]:
        """Tell for many pairs."""
        ...

    def count(self, a: str, b: str, c: str) -> int:
        """Count who is in A and B and not in C."""
        ...


class Changing(Answerer, Protocol):
    """One that takes changes, too."""

    def change(self, enter: bool, pairs: Sequence[tuple[str, str]]) -> None:  # noqa: FBT001 -- a fact
        """Let users enter segments, or leave them."""
        ...


class Index:
    """This project's own; see `Answerer`."""

    def __init__(self, reader: MembershipReader, workspace: str) -> None:
        self._reader = reader
        self._workspace = workspace
        # A method that only calls another one would take a tenth of what is measured.
        self.is_member = partial(reader.is_member, workspace)
        self.segments_of = partial(reader.segments_of, workspace)

    def check(self, users: Sequence[str], segments: Sequence[str]) -> Sequence[bool | None]:
        """See `Answerer`."""
        return self._reader.check_columns(self._workspace, users, segments)

    def count(self, a: str, b: str, c: str) -> int:
        """See `Answerer`."""
        view = self._reader.pinned()
        one, two, three = (view.member_set(self._workspace, each) for each in (a, b, c))
        return len(one.and_(two).andnot(three))


def answer_times(answerer: Answerer, asked: Asked) -> dict[str, Times]:
    """Ask every kind of question, each first a little to warm up."""
    pairs = asked.pairs(asked.questions)
    users, segments = map(list, zip(*asked.pairs(asked.keys), strict=True))
    batch = times_of(lambda: answerer.check(users, segments), [()] * _BATCHES)
    is_member, empty = times_beside_empty(answerer.is_member, pairs)
    return {
        "empty": empty,
        "is_member": is_member,
        "segments_of": times_of(answerer.segments_of, [(user,) for user, _ in pairs]),
        "batch_a_key": Times(batch.p50 / asked.keys, batch.p99 / asked.keys),
        "a_and_b_not_c": times_of(answerer.count, asked.triples()),
    }


def times_of(ask: Callable[..., object], questions: Sequence[tuple[str, ...]]) -> Times:
    """Ask, first a tenth of it to warm up."""
    return times_beside_empty(ask, questions)[0]


def times_beside_empty(
    ask: Callable[..., object], questions: Sequence[tuple[str, ...]]
) -> tuple[Times, Times]:
    """Ask as `times_of`, and by turns call an empty function: how fast the machine is meanwhile.

    Most of what an empty call takes is reading the clock, which is in all figures.

    What was measured goes into memory that is there already. A list of numbers would take a new
    page of it for every hundred and twenty-eighth of them, within the time that is measured: that
    alone was most of the slowest hundredth.
    """
    clock = time.perf_counter_ns
    for question in questions[: len(questions) // 10 + 1]:
        ask(*question)
    took, calls = (array("q", [0]) * len(questions) for _ in range(2))
    for number, question in enumerate(questions):
        began = clock()
        ask(*question)
        ended = clock()
        _empty(*question)
        calls[number] = clock() - ended
        took[number] = ended - began
    return Times.of(took), Times.of(calls)


def _empty(*_question: str) -> None:
    """Do nothing."""
