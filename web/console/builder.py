"""A rule as the page *Audience* builds it: groups of conditions, each all or any of; pure.

Everything stands in the address, so a rule can be kept as a bookmark and sent to somebody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heapline.memberships import SegmentRow

JOINS: Final = ("AND", "OR")
OPERATORS: Final = ("is", "isNot")
MOST_GROUPS: Final = 10
MOST_CONDITIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Condition:
    """One line: a segment as it was typed, and whether users are to be in it.

    Attributes:
        segment_id: whose name or id was typed; None where no segment has it.
    """

    typed: str = ""
    operator: str = "is"
    segment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of which all or any must hold."""

    join: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What was built so far: groups of which all or any must hold."""

    join: str
    groups: tuple[Group, ...]

    @property
    def unknown(self) -> list[str]:
        """What was typed and is no segment."""
        return [
            each.typed
            for group in self.groups
            for each in group.conditions
            if each.typed and each.segment_id is None
        ]

    def audience(self) -> dict[str, Any] | None:
        """Give the rule as `audiences:evaluate` takes it; None while it has no condition."""
        groups = [found for group in self.groups if (found := _expression(group)) is not None]
        if not groups:
            return None
        whole = groups[0] if len(groups) == 1 else {"type": self.join, "exprs": groups}
        return {"type": "rule_expression", "expression": whole}


def rule_of(asked: Iterable[tuple[str, str]], segments: Sequence[SegmentRow]) -> Rule:
    """Read a form, with an empty line in every group for the next condition.

    Args:
        asked: the form's fields in order: `join`, and for each group `gN.join`, `gN.segment`,
            `gN.operator`; `add` asks for one more group.
        segments: of the workspace, by which names are found.
    """
    fields = list(asked)
    one = dict(fields)
    known = _names(segments)
    groups = []
    for number in range(MOST_GROUPS):
        named = f"g{number}."
        typed = [value.strip() for name, value in fields if name == f"{named}segment"]
        operators = [value for name, value in fields if name == f"{named}operator"]
        lines = [
            Condition(text, operator if operator in OPERATORS else "is", known.get(text))
            for text, operator in zip(typed, operators, strict=False)
            if text
        ][:MOST_CONDITIONS]
        if lines:
            groups.append(Group(_join(one.get(f"{named}join", "")), (*lines, Condition())))
    if not groups or ("add" in one and len(groups) < MOST_GROUPS):
        groups.append(Group("AND", (Condition(),)))
    return Rule(_join(one.get("join", "")), tuple(groups))


def _join(text: str) -> str:
    return text if text in JOINS else "AND"


def _names(segments: Sequence[SegmentRow]) -> Mapping[str, str]:
    """Ids win over names, and of two segments with one name the first."""
    names: dict[str, str] = {}
    for row in segments:
        names.setdefault(row.name, row.segment_id)
    return names | {row.segment_id: row.segment_id for row in segments}


def _expression(group: Group) -> dict[str, Any] | None:
    conditions = [
        {
            "type": "CONDITION",
            "condition": {"type": "heap", "operator": each.operator, "value": each.segment_id},
        }
        for each in group.conditions
        if each.segment_id is not None
    ]
    return {"type": group.join, "exprs": conditions} if conditions else None
