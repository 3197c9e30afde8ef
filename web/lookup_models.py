"""What lookups take and answer, as the OpenAPI description tells it; answers are not made of these.

A test holds every answer against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T09:30:00.123Z"])
]
Id = Annotated[str | int, Field(description="As text or as a whole number: 7 and '7' are one.")]
Doubtful = Annotated[
    list[str],
    Field(
        description="Ids of segments this answer stands on that are stale or arrived in part; "
        "answered all the same."
    ),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SegmentInfo(_Model):
    """A Heap segment, as its last sync left it."""

    id: str = Field(description="Heap's id of it, as text.", examples=["7"])
    name: str = Field(description="Heap's name; empty where none was ever told.")
    member_count: int = Field(ge=0, description="How many users are in it.")
    status: Literal["syncing", "complete", "partial", "drained", "disconnected", "unknown"] = Field(
        description="partial: only a part of the last sync arrived."
    )
    rhythm: Literal["recurring", "once", "unknown"] = Field(description="How Heap syncs it.")
    last_synced_at: Moment | None = Field(description="null before the first sync.")
    stale: bool = Field(description="A recurring segment without news for too long.")


class SegmentList(_Model):
    """A workspace's segments."""

    segments: list[SegmentInfo]


class UserSegment(_Model):
    """A segment a user is in."""

    id: str
    name: str
    entered_at: Moment | None = Field(description="Since when; null where it is not known.")
    stale: bool


class UserSegments(_Model):
    """The segments a user is in; none for a user never seen."""

    segments: list[UserSegment]
    doubtful: Doubtful


class Membership(_Model):
    """Whether a user is in a segment."""

    member: bool | None = Field(
        description="null where the segment is disconnected: it belongs to a Heap environment that "
        "was left, and is being emptied."
    )
    entered_at: Moment | None = Field(description="Since when; null where it is not known.")
    segment: SegmentInfo


class MembersPage(_Model):
    """Some members of a segment."""

    members: list[str] = Field(description="Ids of users.")
    next_cursor: str | None = Field(description="`?cursor=` of the next page; null on the last.")
    segment: SegmentInfo


class Pair(BaseModel):
    """A user and a segment."""

    user: Id
    segment: Id


class PairsToCheck(BaseModel):
    """Pairs to be checked."""

    pairs: list[Pair]


class CheckedPair(_Model):
    """A pair and its answer."""

    user: str
    segment: str
    member: bool | None = Field(description="null where the segment is unknown or disconnected.")


class CheckedPairs(_Model):
    """Answers in the order of the request."""

    results: list[CheckedPair]
    doubtful: Doubtful


class AudienceToCount(BaseModel):
    """An audience of Command AI's: an Audience, or a RuleExpression alone."""

    audience: dict[str, Any] = Field(
        description="Command AI's own shape. Conditions of type `heap` name segment ids; all "
        "other types leave users undecided."
    )


class AudienceToEvaluate(AudienceToCount):
    """An audience, and the users it is asked about."""

    users: list[Id]


class LeftOver(_Model):
    """A condition that could not be decided here."""

    path: str = Field(description="Where.", examples=["audience.expression.exprs[1].condition"])
    type: str = Field(description="The condition's type.")
    reason: Literal["condition_type", "operator", "named_rule", "unknown_segment", "disconnected"]
    detail: str = Field(description="The operator, the rule's id or the segment's id.")


class EvaluatedUser(_Model):
    """A user and the answer."""

    user: str
    result: Literal["match", "no_match", "undecided"]
    unresolved: list[LeftOver] = Field(description="Empty unless undecided.")


class EvaluatedUsers(_Model):
    """Answers in the order of the request."""

    results: list[EvaluatedUser]
    doubtful: Doubtful


class CountedAudience(_Model):
    """How many of the users who are in at least one segment of the workspace are in an audience."""

    match: int = Field(ge=0)
    no_match: int = Field(ge=0)
    undecided: int = Field(ge=0)
    unresolved: list[LeftOver]
    doubtful: Doubtful


MODELS = (
    SegmentList,
    UserSegments,
    Membership,
    MembersPage,
    PairsToCheck,
    CheckedPairs,
    AudienceToCount,
    AudienceToEvaluate,
    EvaluatedUsers,
    CountedAudience,
)
