"""Audiences in three-valued logic, against a definition that is too slow to be wrong."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from heapline.memberships import Audience, InvalidAudience, MembershipReader, Result, SegmentRow
from heapline.memberships.audience import MAX_DEPTH, MAX_NODES
from heapline.memberships.evaluation import decide_all, evaluate
from tests.small_index import write_index

if TYPE_CHECKING:
    from pathlib import Path

USERS: Final = range(8)
KNOWN: Final = {
    "a": frozenset({0, 1, 2, 3}),
    "b": frozenset({2, 3, 4, 5}),
    "c": frozenset({0, 2, 4, 6}),
}
UNKNOWN: Final = ("x", "y")
POSITIVE: Final = ("is", "includes", "isInList")
NEGATIVE: Final = ("isNot", "doesNotInclude", "isNotInList")

segments = st.sampled_from([*KNOWN, *UNKNOWN])
heap_conditions = st.builds(
    lambda operator, value: {"type": "heap", "operator": operator, "value": value},
    st.sampled_from(POSITIVE + NEGATIVE),
    segments | st.lists(segments, max_size=4),
)
others = st.sampled_from(
    [
        {"type": "url", "operator": "is", "value": "/"},
        {"type": "heap", "operator": "startsWith", "value": "a"},
        {"type": "named_rule", "rule_id": 5},
    ]
)
leaves = st.builds(lambda value: {"type": "LITERAL", "value": value}, st.booleans()) | st.builds(
    lambda condition: {"type": "CONDITION", "condition": condition}, heap_conditions | others
)
expressions = st.recursive(
    leaves,
    lambda parts: st.builds(
        lambda kind, exprs: {"type": kind, "exprs": exprs},
        st.sampled_from(["AND", "OR"]),
        st.lists(parts, max_size=4),
    ),
    max_leaves=12,
)


def member(user: int, segment: str) -> bool | None:
    """Tell whether a user is in a segment; None if nobody knows it."""
    return user in KNOWN[segment] if segment in KNOWN else None


def unknowns(expression: dict[str, Any], path: str = "audience") -> list[tuple[str, str]]:
    """Give what somebody else would have to tell: by its place, and for segments by its id."""
    if expression["type"] in ("AND", "OR"):
        return [
            each
            for at, part in enumerate(expression["exprs"])
            for each in unknowns(part, f"{path}.exprs[{at}]")
        ]
    if expression["type"] == "LITERAL":
        return []
    condition = expression["condition"]
    if condition["type"] != "heap" or condition["operator"] == "startsWith":
        return [(path, "")]
    value = condition["value"]
    named = value if isinstance(value, list) else [value]
    return [(path, segment) for segment in dict.fromkeys(named) if segment in UNKNOWN]


def truth(
    expression: dict[str, Any], user: int, told: dict[tuple[str, str], bool], path: str = "audience"
) -> bool:
    """Tell whether a user is in, once everything is told."""
    if expression["type"] == "LITERAL":
        return bool(expression["value"])
    if expression["type"] in ("AND", "OR"):
        parts = [
            truth(part, user, told, f"{path}.exprs[{at}]")
            for at, part in enumerate(expression["exprs"])
        ]
        return all(parts) if expression["type"] == "AND" else any(parts)
    condition = expression["condition"]
    if condition["type"] != "heap" or condition["operator"] == "startsWith":
        return told[path, ""]
    value = condition["value"]
    named = value if isinstance(value, list) else [value]
    inside = any(user in KNOWN[each] if each in KNOWN else told[path, each] for each in named)
    return inside if condition["operator"] in POSITIVE else not inside


@settings(deadline=None)
@given(expressions)
def test_what_is_decided_holds_whatever_the_unknown_turns_out_to_be(
    expression: dict[str, Any],
) -> None:
    """A decided value is that of every way to fill in what is unknown (up to 2^8 ways)."""
    missing = unknowns(expression)[:8]
    if len(unknowns(expression)) > len(missing):
        return
    rule = Audience.parse(expression).rule
    for user in USERS:
        value, left = evaluate(rule, lambda segment, user=user: member(user, segment))  # type: ignore[misc]
        assert (value is None) is bool(left)
        if value is not None:
            for ways in itertools.product((False, True), repeat=len(missing)):
                told = dict(zip(missing, ways, strict=True))
                assert truth(expression, user, told) is value


@settings(deadline=None)
@given(expressions)
def test_without_unknowns_everything_is_decided(expression: dict[str, Any]) -> None:
    """Two-valued logic is a part of it."""
    if unknowns(expression):
        return
    rule = Audience.parse(expression).rule
    for user in USERS:
        value, _ = evaluate(rule, lambda segment, user=user: member(user, segment))  # type: ignore[misc]
        assert value is truth(expression, user, {})


@settings(deadline=None)
@given(expressions)
def test_all_at_once_is_each_alone(expression: dict[str, Any]) -> None:
    """`decide_all` says of every user what `evaluate` says."""
    rule = Audience.parse(expression).rule
    everyone = BitMap(USERS)
    decided = decide_all(
        rule, everyone, lambda name: BitMap(KNOWN[name]) if name in KNOWN else None
    )
    assert not decided.true & decided.false
    for user in USERS:
        value, left = evaluate(rule, lambda segment, user=user: member(user, segment))  # type: ignore[misc]
        found = True if user in decided.true else False if user in decided.false else None
        assert found is value
        assert {*left} <= {*decided.unresolved}


@pytest.fixture
def reader(tmp_path: Path) -> MembershipReader:
    """An index of the known segments, of which one is stale and one arrived in part."""
    rows = [
        SegmentRow("acme", "a", stale=True),
        SegmentRow("acme", "b", status="partial"),
        SegmentRow("acme", "c", status="complete"),
    ]
    members = {("acme", name): [f"u{n}" for n in sorted(users)] for name, users in KNOWN.items()}
    write_index(tmp_path, rows, members)
    return MembershipReader(tmp_path)


def is_in(operator: str, *named: str) -> dict[str, Any]:
    """Write a condition."""
    condition = {"type": "heap", "operator": operator, "value": [*named]}
    return {"type": "CONDITION", "condition": condition}


@settings(deadline=None, max_examples=50)
@given(expression=expressions)
def test_counts_and_members_are_those_of_each_user(
    reader_of_all: MembershipReader, expression: dict[str, Any]
) -> None:
    """Over everybody who is in some segment."""
    view = reader_of_all.pinned()
    users = [f"u{n}" for n in sorted(frozenset().union(*KNOWN.values()))]
    each = [found.result for found in view.evaluate_users("acme", expression, users)]
    counted = view.count_audience("acme", expression)
    assert (counted.match, counted.no_match, counted.undecided) == tuple(
        each.count(result) for result in (Result.MATCH, Result.NO_MATCH, Result.UNDECIDED)
    )
    matching = [user for user, result in zip(users, each, strict=True) if result is Result.MATCH]
    assert sorted(view.audience_members("acme", expression)) == matching


@pytest.fixture(scope="module")
def reader_of_all(tmp_path_factory: pytest.TempPathFactory) -> MembershipReader:
    """An index of the known segments."""
    folder = tmp_path_factory.mktemp("index")
    members = {("acme", name): [f"u{n}" for n in sorted(users)] for name, users in KNOWN.items()}
    write_index(folder, [SegmentRow("acme", name) for name in KNOWN], members)
    return MembershipReader(folder)


def test_doubtful_segments_are_answered_and_flagged(reader: MembershipReader) -> None:
    """Only those the audience names."""
    both = {"type": "OR", "exprs": [is_in("is", "a"), is_in("isNot", "b"), is_in("is", "c")]}
    found = reader.evaluate("acme", both, "u0")
    assert (found.result, found.doubtful) == (Result.MATCH, ("a", "b"))
    assert reader.evaluate("acme", is_in("is", "c"), "u0").doubtful == ()
    assert reader.count_audience("acme", both).doubtful == ("a", "b")


@pytest.mark.parametrize("operator", POSITIVE + NEGATIVE)
def test_an_unknown_segment_leaves_it_open(reader: MembershipReader, operator: str) -> None:
    """Also under a negation; somebody who is in another one of the list is decided."""
    audience = is_in(operator, "x", "a")
    open_ = reader.evaluate("acme", audience, "u7")
    assert open_.result is Result.UNDECIDED
    assert [(each.reason, each.detail) for each in open_.unresolved] == [("unknown_segment", "x")]
    inside = reader.evaluate("acme", audience, "u0")
    wanted = Result.MATCH if operator in POSITIVE else Result.NO_MATCH
    assert (inside.result, inside.unresolved) == (wanted, ())


def test_a_user_never_seen_is_in_no_segment(reader: MembershipReader) -> None:
    """And that is a fact, not a doubt."""
    assert reader.evaluate("acme", is_in("is", "a"), "nobody").result is Result.NO_MATCH
    assert reader.evaluate("acme", is_in("isNot", "a"), "nobody").result is Result.MATCH


def test_command_ais_three_kinds_of_audience(reader: MembershipReader) -> None:
    """Everybody, an expression, a rule by name."""
    assert reader.evaluate("acme", {"type": "all_users"}, "u0").result is Result.MATCH
    whole = {"type": "rule_expression", "expression": is_in("is", "a")}
    assert reader.evaluate("acme", whole, "u0").result is Result.MATCH
    named = {
        "type": "named_rule_reference",
        "rule_reference": {"type": "named_rule", "rule_id": 5},
    }
    (left,) = reader.evaluate("acme", named, "u0").unresolved
    assert (left.reason, left.detail) == ("named_rule", "5")


def test_ids_may_be_numbers(reader: MembershipReader) -> None:
    """7, 7.0 and "7" are one segment."""
    values = [7, 7.0, "7"]
    audience = {
        "type": "CONDITION",
        "condition": {"type": "heap", "operator": "is", "value": values},
    }
    assert Audience.parse(audience).segments == ("7",)
    assert reader.evaluate("acme", audience, "u0").result is Result.UNDECIDED


def nested(levels: int) -> dict[str, Any]:
    """Put AND in AND."""
    expression: dict[str, Any] = {"type": "LITERAL", "value": True}
    for _ in range(levels):
        expression = {"type": "AND", "exprs": [expression]}
    return expression


CONDITION: Final = {"type": "heap", "operator": "is", "value": "a"}


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (None, "audience"),
        ([], "audience"),
        ({}, "audience"),
        ({"type": "everybody"}, "audience.type"),
        ({"type": ["AND"]}, "audience.type"),
        ({"type": "rule_expression"}, "audience"),
        ({"type": "AND"}, "audience"),
        ({"type": "AND", "exprs": {}}, "audience.exprs"),
        ({"type": "AND", "exprs": [1]}, "audience.exprs[0]"),
        ({"type": "LITERAL", "value": 1}, "audience.value"),
        ({"type": "CONDITION", "condition": {}}, "audience.condition"),
        ({"type": "CONDITION", "condition": {"type": 5}}, "audience.condition.type"),
        (
            {"type": "CONDITION", "condition": CONDITION | {"value": None}},
            "audience.condition.value",
        ),
        (
            {"type": "CONDITION", "condition": CONDITION | {"value": ["a", True]}},
            "audience.condition.value[1]",
        ),
        (
            {"type": "CONDITION", "condition": CONDITION | {"operator": 1}},
            "audience.condition.operator",
        ),
        ({"type": "named_rule_reference", "rule_reference": {}}, "audience.rule_reference"),
        (nested(MAX_DEPTH), None),
        ({"type": "OR", "exprs": [{"type": "LITERAL", "value": True}] * MAX_NODES}, None),
        (is_in("is", *map(str, range(MAX_NODES))), None),
    ],
)
def test_what_is_no_audience_is_refused(given: object, where: str | None) -> None:
    """With the place of the mistake, and a message of bounded length."""
    with pytest.raises(InvalidAudience) as raised:
        Audience.parse(given)
    assert where is None or raised.value.path == where
    assert len(str(raised.value)) < 400


def test_the_deepest_audience_that_is_taken(reader: MembershipReader) -> None:
    """Is also answered."""
    deepest = nested(MAX_DEPTH - 1)
    assert reader.evaluate("acme", deepest, "u0").result is Result.MATCH
    assert reader.count_audience("acme", deepest).match == len(frozenset().union(*KNOWN.values()))


def test_a_disconnected_segment_leaves_it_open(tmp_path: Path) -> None:
    """Who is in a segment of an environment that was left, nobody can say until it is emptied."""
    rows = [SegmentRow("acme", "a", disconnected=True), SegmentRow("acme", "b")]
    write_index(tmp_path, rows, {("acme", "a"): ["u0"], ("acme", "b"): ["u1"]})
    reader = MembershipReader(tmp_path)
    either = is_in("is", "a", "b")
    left = reader.evaluate("acme", either, "u0")
    assert (left.result, left.doubtful) == (Result.UNDECIDED, ("a",))
    assert [(each.reason, each.detail) for each in left.unresolved] == [("disconnected", "a")]
    assert reader.evaluate("acme", either, "u1").result is Result.MATCH
    assert reader.evaluate("acme", is_in("isNot", "a"), "u1").result is Result.UNDECIDED
    counted = reader.count_audience("acme", either)
    assert (counted.match, counted.no_match, counted.undecided) == (1, 0, 1)
    assert [each.reason for each in counted.unresolved] == ["disconnected"]
    assert reader.check("acme", [("u0", "a"), ("u1", "a"), ("u1", "b")]) == [None, None, True]
    assert reader.segment("acme", "a").doubtful
