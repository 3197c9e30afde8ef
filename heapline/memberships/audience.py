"""Command AI's audiences, read into conditions on segments and what this project cannot decide.

Shapes (Command AI's npm typings `helpers/audience.d.ts` and `helpers/rules.d.ts`)::

    Audience       = {type: "all_users"} | {type: "rule_expression", expression}
                   | {type: "named_rule_reference", rule_reference: {type: "named_rule", rule_id}}
    RuleExpression = {type: "AND" | "OR", exprs: [...]} | {type: "LITERAL", value: boolean}
                   | {type: "CONDITION", condition}
    Condition      = {type, operator, field?, value?, reason?, rule_id?}

A `heap` condition names segment ids in `value`, one or a list, as text or numbers. `is`, `includes`
and `isInList` hold for a user who is in *at least one* of them; `isNot`, `doesNotInclude` and
`isNotInList` are their negations. `AND` of nothing is true, `OR` of nothing false. Types and
operators are open sets: what is not known here is left *unresolved*, never refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from heapline.memberships.errors import InvalidAudience
from heapline.memberships.segments import id_text

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 100
"""Levels of AND and OR; far more than a person nests, far less than Python's own limit."""
MAX_NODES: Final = 10_000
"""Expressions and segment ids of one audience together."""
POSITIVE_OPERATORS: Final = frozenset({"is", "includes", "isInList"})
NEGATIVE_OPERATORS: Final = frozenset({"isNot", "doesNotInclude", "isNotInList"})
_AUDIENCE_TYPES: Final = frozenset({"all_users", "rule_expression", "named_rule_reference"})
_EXPRESSION_TYPES: Final = frozenset({"AND", "OR", "LITERAL", "CONDITION"})
_NAMED_RULES: Final = frozenset({"named_rule", "named_rule_reference"})


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something in an audience that this project cannot decide.

    Attributes:
        path: where, like `audience.expression.exprs[1].condition`.
        type: the condition's type.
        reason: `condition_type`, `operator`, `named_rule`, `unknown_segment` or `disconnected`.
        detail: the operator, the rule's id or the segment's id; empty for a type.
    """

    path: str
    type: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Literal:
    """Always or never true."""

    value: bool


@dataclass(frozen=True, slots=True)
class InSegments:
    """True for a user who is in at least one of the segments, or, negated, in none."""

    path: str
    segments: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """True if all parts are (`every`), or if at least one is."""

    every: bool
    parts: tuple[Rule, ...]


Rule: TypeAlias = Literal | InSegments | Joined | Unresolved


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience that was read once and can be asked about many users.

    Attributes:
        rule: what it demands.
        segments: every segment id it names, in order, each once.
    """

    rule: Rule
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, audience: object) -> Audience:
        """Read a whole `Audience`, or a `RuleExpression` alone, from parsed JSON.

        Raises:
            InvalidAudience: it is of another shape, nests deeper than `MAX_DEPTH`, or has more than
                `MAX_NODES` parts.
        """
        rule = _Parser().audience(audience)
        return cls(rule, tuple(dict.fromkeys(_segments(rule))))


class _Parser:
    def __init__(self) -> None:
        self._left = MAX_NODES

    def audience(self, given: object) -> Rule:
        audience = _object(given, "audience")
        kind = _type(audience, "audience", _AUDIENCE_TYPES | _EXPRESSION_TYPES)
        if kind == "all_users":
            return Literal(value=True)
        if kind == "rule_expression":
            return self._expression(
                _present(audience, "expression", "audience"), "audience.expression", 1
            )
        if kind == "named_rule_reference":
            path = "audience.rule_reference"
            reference = _object(_present(audience, "rule_reference", "audience"), path)
            _type(reference, path, _NAMED_RULES)
            return _named_rule(reference, path)
        return self._expression(audience, "audience", 1)

    def _expression(self, given: object, path: str, depth: int) -> Rule:
        self._count(path)
        if depth > MAX_DEPTH:
            raise InvalidAudience(_short(path), f"is nested more than {MAX_DEPTH} levels deep")
        expression = _object(given, path)
        kind = _type(expression, path, _EXPRESSION_TYPES)
        if kind == "LITERAL":
            value = _present(expression, "value", path)
            if not isinstance(value, bool):
                raise InvalidAudience(f"{path}.value", "must be true or false")
            return Literal(value)
        if kind == "CONDITION":
            return self._condition(_present(expression, "condition", path), f"{path}.condition")
        parts = _present(expression, "exprs", path)
        if not isinstance(parts, list):
            raise InvalidAudience(f"{path}.exprs", "must be a list")
        rules = [
            self._expression(part, f"{path}.exprs[{at}]", depth + 1)
            for at, part in enumerate(parts)
        ]
        return Joined(kind == "AND", tuple(rules))

    def _condition(self, given: object, path: str) -> Rule:
        condition = _object(given, path)
        kind = _present(condition, "type", path)
        if not isinstance(kind, str):
            raise InvalidAudience(f"{path}.type", "must be text")
        if kind in _NAMED_RULES:
            return _named_rule(condition, path)
        if kind != "heap":
            return Unresolved(path, kind, "condition_type")
        operator = _present(condition, "operator", path)
        if not isinstance(operator, str):
            raise InvalidAudience(f"{path}.operator", "must be text")
        if operator not in POSITIVE_OPERATORS | NEGATIVE_OPERATORS:
            return Unresolved(path, kind, "operator", operator)
        segments = self._segment_ids(_present(condition, "value", path), f"{path}.value")
        return InSegments(path, segments, operator in NEGATIVE_OPERATORS)

    def _segment_ids(self, value: object, path: str) -> tuple[str, ...]:
        many = isinstance(value, list)
        ids = []
        for at, given in enumerate(value if isinstance(value, list) else [value]):
            where = f"{path}[{at}]" if many else path
            self._count(where)
            text = id_text(given)
            if text is None:
                raise InvalidAudience(where, "must be a segment id, as text or a whole number")
            ids.append(text)
        return tuple(dict.fromkeys(ids))

    def _count(self, path: str) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidAudience(_short(path), f"the audience has over {MAX_NODES} parts")


def _object(given: object, path: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InvalidAudience(_short(path), "must be an object")
    return given


def _present(given: dict[str, Any], name: str, path: str) -> object:
    if name not in given:
        raise InvalidAudience(_short(path), f"has no {name!r}")
    value: object = given[name]
    return value


def _type(given: dict[str, Any], path: str, known: frozenset[str]) -> str:
    kind = _present(given, "type", path)
    if not isinstance(kind, str) or kind not in known:
        names = ", ".join(sorted(known))
        raise InvalidAudience(f"{_short(path)}.type", f"must be one of {names}")
    return kind


def _named_rule(reference: dict[str, Any], path: str) -> Unresolved:
    rule = id_text(_present(reference, "rule_id", path))
    if rule is None:
        raise InvalidAudience(f"{path}.rule_id", "must be an id")
    return Unresolved(path, "named_rule", "named_rule", rule)


def _short(path: str, most: int = 200) -> str:
    return path if len(path) <= most else f"{path[:most]}…"


def _segments(rule: Rule) -> Iterator[str]:
    if isinstance(rule, InSegments):
        yield from rule.segments
    elif isinstance(rule, Joined):
        for part in rule.parts:
            yield from _segments(part)
