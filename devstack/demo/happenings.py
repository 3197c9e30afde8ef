"""What the demo's people do: drawn from the published catalogue, always the same for one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from devstack.demo.cast import AURORA, BIRCH, CAST, Member
from heapline.events.catalogue import DEFAULT_OFF, V1_INTERNAL_NAMES, V1_TYPES, V2_NAMES
from heapline.events.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_T = TypeVar("_T")
PEOPLE: Final = 600
"""Over all workspaces, by their shares."""
SPAN_MS: Final = 3_600_000
"""Events lie in so much time, unless there are more of them than milliseconds."""


class Kind(StrEnum):
    """What is special about a happening."""

    USUAL = "usual"
    ANONYMOUS = "anonymous"
    UNKNOWN_NAME = "unknown_name"
    PREVIEW = "preview"
    ADMIN = "admin"
    SIMULATED = "simulated"
    POISON = "poison"
    UNDECODABLE = "undecodable"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing somebody did, before it is written down in one of the source shapes.

    Attributes:
        number: its place, from 0; no two happenings share it.
        member: whose product it happened in.
        person: who did it, as the workspace knows them.
        device: where the SDK saw them, known for anonymous visitors too.
        timestamp_ms: milliseconds since 1970-01-01 UTC; no two happenings share it.
    """

    number: int
    member: Member
    kind: Kind
    shape: Shape
    name: str
    person: str
    device: str
    session: str
    timestamp_ms: int


_KINDS: Final[Mapping[Kind, int]] = {
    Kind.USUAL: 870,
    Kind.ANONYMOUS: 45,
    Kind.UNKNOWN_NAME: 30,
    Kind.PREVIEW: 20,
    Kind.ADMIN: 20,
    Kind.SIMULATED: 15,
}
"""In a thousand."""
_SHAPES: Final[Mapping[Shape, int]] = {Shape.V2: 50, Shape.V1: 30, Shape.CALLBACK: 20}
_SHAPES_OF: Final[Mapping[Kind, Sequence[Shape]]] = {
    Kind.PREVIEW: (Shape.V1, Shape.CALLBACK),
    Kind.ADMIN: (Shape.V2, Shape.V1),
    Kind.SIMULATED: (Shape.V2,),
    Kind.POISON: (Shape.CALLBACK,),
}
"""Only these shapes have the field that says so."""
_NEW_NAMES: Final[Mapping[Shape, Sequence[str]]] = {
    Shape.V2: ("cb:copilot_voice_started", "cb:nudge_shared"),
    Shape.V1: ("Banner pinned", "Tour restarted"),
    Shape.CALLBACK: ("banner_pinned", "tour_restarted"),
}
"""Names no catalogue has: "your code should be robust to receiving events with an unknown
eventName" (Command AI, addEventSubscriber reference)."""
_OFTEN: Final = ("viewed", "shown", "opened", "clicked", "executed", "pageview")
_FIRST_NAMES: Final = (
    "ada ben chloe dmitri elif femi greta hugo ines jonas kavya liam mira noor oskar priya quentin "
    "rosa samir tilda umar vera wanda yusuf zoe"
)
_LAST_NAMES: Final = (
    "abel brandt costa dunn eriksen fischer grant hansen ito jensen kaya larsen moreau novak okoye "
    "patel quist rossi silva torres ueda vance weber young zeman"
)


def happenings(count: int, seed: int, end_ms: int) -> Iterator[Happening]:
    """Give so many happenings in the order of their times, the last one before `end_ms`.

    What they are depends on `count` and `seed` only; `end_ms` moves their times. Half-way there is
    one that Heap will refuse, and at a third of the way one whose record cannot be decoded.
    """
    draw = _Draw(random.Random(seed))
    step_ms = max(1, SPAN_MS // max(1, count))
    special = {count // 2: (AURORA, Kind.POISON), count // 3: (BIRCH, Kind.UNDECODABLE)}
    for number in range(count):
        member, kind = special.get(number) or draw.what()
        yield draw.happening(number, member, kind, end_ms - (count - number) * step_ms)


class _Draw:
    """All chance there is, in one place."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._people = {member: _people(member, rng) for member in CAST}

    def what(self) -> tuple[Member, Kind]:
        """Draw where something happens and what is special about it."""
        member = self._rng.choices(CAST, [each.share for each in CAST])[0]
        return member, self._of(_KINDS)

    def happening(self, number: int, member: Member, kind: Kind, timestamp_ms: int) -> Happening:
        """Draw the rest."""
        allowed = _SHAPES_OF.get(kind)
        shape = self._rng.choice(allowed) if allowed else self._of(_SHAPES)
        people = self._people[member]
        # A few people do most of it, as everywhere.
        who = int(len(people) * self._rng.random() ** 2)
        return Happening(
            number=number,
            member=member,
            kind=kind,
            shape=shape,
            name=self._name(kind, shape),
            person=people[who],
            device=f"device-{member.workspace}-{who:03d}",
            session=f"session-{member.workspace}-{who:03d}-{number // 5000}",
            timestamp_ms=timestamp_ms,
        )

    def _name(self, kind: Kind, shape: Shape) -> str:
        if kind is Kind.UNKNOWN_NAME:
            return self._rng.choice(_NEW_NAMES[shape])
        if kind is Kind.POISON:
            return "survey_response"
        names, weights = _NAMES[shape]
        return self._rng.choices(names, weights)[0]

    def _of(self, weights: Mapping[_T, int]) -> _T:
        return self._rng.choices(list(weights), list(weights.values()))[0]


def _people(member: Member, rng: random.Random) -> list[str]:
    names = [f"{first}.{last}" for first in _FIRST_NAMES.split() for last in _LAST_NAMES.split()]
    wanted = max(1, PEOPLE * member.share // 100)
    return [f"{name}@{member.workspace}.example" for name in rng.sample(names, wanted)]


def _weight(name: str) -> int:
    if name in DEFAULT_OFF:
        return 1
    return 8 if name.lower().endswith(_OFTEN) else 3


def _weighted(names: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    return names, [_weight(name) for name in names]


_NAMES: Final = {
    Shape.V2: _weighted(tuple(V2_NAMES)),
    Shape.V1: _weighted(tuple(V1_INTERNAL_NAMES)),
    Shape.CALLBACK: _weighted(tuple(V1_TYPES)),
}
