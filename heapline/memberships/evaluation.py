"""Who is in an audience: three-valued (Kleene) logic, for one user and for all at once.

A value is known as soon as the parts that are known settle it: false AND anything is false. Only
what is left after that makes an answer *undecided*, and is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from heapline.memberships.audience import InSegments, Joined, Literal, Unresolved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroaring import BitMap

    from heapline.memberships.audience import Rule


UNKNOWN_SEGMENT: Final = "unknown_segment"
DISCONNECTED: Final = "disconnected"
"""Why nobody can say who is in a segment: none was synced under that id, or it belongs to an
environment of Heap's that was left."""


class Result(StrEnum):
    """Whether a user is in an audience."""

    MATCH = "match"
    NO_MATCH = "no_match"
    UNDECIDED = "undecided"

    @classmethod
    def of(cls, value: bool | None) -> Result:  # noqa: FBT001 - the value is what it is about
        """Name a truth value; None is unknown."""
        return cls.UNDECIDED if value is None else cls.MATCH if value else cls.NO_MATCH


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer for one user.

    Attributes:
        result: match, no match or undecided.
        unresolved: what would have to be known; empty unless undecided.
        doubtful: segments of the audience that are stale or arrived in part; answered all the same.
    """

    result: Result
    unresolved: tuple[Unresolved, ...] = ()
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """The answer for all users of a workspace who are in at least one segment.

    Attributes:
        match, no_match, undecided: how many.
        unresolved: what this project cannot decide in the audience; empty if nobody is undecided.
        doubtful: as in `Evaluation`.
    """

    match: int
    no_match: int
    undecided: int
    unresolved: tuple[Unresolved, ...] = ()
    doubtful: tuple[str, ...] = ()


def evaluate(
    rule: Rule,
    member: Callable[[str], bool | None],
    reason: Callable[[str], str] = lambda _: UNKNOWN_SEGMENT,
) -> tuple[bool | None, list[Unresolved]]:
    """Decide a rule for one user.

    Args:
        rule: the audience's.
        member: whether the user is in a segment; None if nobody can say.
        reason: why nobody can say of a segment.

    Returns:
        The truth value, None if undecided, and then what is left.
    """
    if isinstance(rule, Literal):
        return rule.value, []
    if isinstance(rule, Unresolved):
        return None, [rule]
    if isinstance(rule, InSegments):
        return _in_segments(rule, [member(segment) for segment in rule.segments], reason)
    left: list[Unresolved] = []
    for part in rule.parts:
        value, missing = evaluate(part, member, reason)
        if value is (not rule.every):
            return value, []
        left += missing
    return (None, left) if left else (rule.every, [])


def _in_segments(
    rule: InSegments, memberships: Sequence[bool | None], reason: Callable[[str], str]
) -> tuple[bool | None, list[Unresolved]]:
    if any(memberships):
        return not rule.negated, []
    unknown = [
        segment for segment, held in zip(rule.segments, memberships, strict=True) if held is None
    ]
    if not unknown:
        return rule.negated, []
    return None, _unsaid(rule, unknown, reason)


def _unsaid(
    rule: InSegments, segments: Sequence[str], reason: Callable[[str], str]
) -> list[Unresolved]:
    """Tell of segments nobody can say anything of."""
    return [Unresolved(rule.path, "heap", reason(segment), segment) for segment in segments]


@dataclass(frozen=True, slots=True)
class Decided:
    """A rule for everyone: for whom it is true and for whom false; the others are undecided."""

    true: BitMap
    false: BitMap
    unresolved: tuple[Unresolved, ...] = ()


def decide_all(
    rule: Rule,
    everyone: BitMap,
    members: Callable[[str], BitMap | None],
    reason: Callable[[str], str] = lambda _: UNKNOWN_SEGMENT,
) -> Decided:
    """Decide a rule for everyone at once.

    Args:
        rule: the audience's.
        everyone: the codes of all users it is about.
        members: a segment's users; None if nobody can say.
        reason: as in `evaluate`.
    """
    nobody = everyone - everyone
    if isinstance(rule, Literal):
        return Decided(everyone, nobody) if rule.value else Decided(nobody, everyone)
    if isinstance(rule, Unresolved):
        return Decided(nobody, nobody, (rule,))
    if isinstance(rule, InSegments):
        return _segments_for_all(rule, everyone, members, reason)
    parts = [decide_all(part, everyone, members, reason) for part in rule.parts]
    return _joined_for_all(rule, parts, everyone)


def _joined_for_all(rule: Joined, parts: Sequence[Decided], everyone: BitMap) -> Decided:
    nobody = everyone - everyone
    settling, agreeing = nobody, everyone  # false settles AND, true settles OR
    for part in parts:
        settles, agrees = (part.false, part.true) if rule.every else (part.true, part.false)
        settling, agreeing = settling | settles, agreeing & agrees
    unresolved = tuple(missing for part in parts for missing in part.unresolved)
    true, false = (agreeing, settling) if rule.every else (settling, agreeing)
    return Decided(true, false, unresolved)


def _segments_for_all(
    rule: InSegments,
    everyone: BitMap,
    members: Callable[[str], BitMap | None],
    reason: Callable[[str], str],
) -> Decided:
    inside, unknown = everyone - everyone, []
    for segment in rule.segments:
        known = members(segment)
        if known is None:
            unknown.append(segment)
        else:
            inside = inside | (known & everyone)
    outside = everyone - (everyone if unknown else inside)
    true, false = (outside, inside) if rule.negated else (inside, outside)
    return Decided(true, false, tuple(_unsaid(rule, unknown, reason)))
