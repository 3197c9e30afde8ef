"""A rule as it is built on the page *Audience*."""

from __future__ import annotations

from heapline.memberships import SegmentRow
from web.console.builder import MOST_GROUPS, rule_of

SEGMENTS = (SegmentRow("acme", "7", "Free"), SegmentRow("acme", "8", "Paid"))


def condition(segment: str, operator: str = "is") -> dict[str, object]:
    """Give a condition as Command AI writes it."""
    return {
        "type": "CONDITION",
        "condition": {"type": "heap", "operator": operator, "value": segment},
    }


def test_nothing_typed_is_no_audience() -> None:
    """There is one empty line to begin with."""
    rule = rule_of([], SEGMENTS)
    assert rule.audience() is None
    assert [len(group.conditions) for group in rule.groups] == [1]


def test_one_group() -> None:
    """Segments by name or id, in or out, all or any."""
    asked = [
        ("g0.join", "OR"),
        ("g0.operator", "is"),
        ("g0.segment", "Free"),
        ("g0.operator", "isNot"),
        ("g0.segment", " 8 "),
        ("g0.operator", "is"),
        ("g0.segment", ""),
    ]
    rule = rule_of(asked, SEGMENTS)
    assert rule.audience() == {
        "type": "rule_expression",
        "expression": {"type": "OR", "exprs": [condition("7"), condition("8", "isNot")]},
    }
    assert [each.typed for each in rule.groups[0].conditions] == ["Free", "8", ""]


def test_groups_within_a_rule() -> None:
    """Any of two groups of all."""
    asked = [
        ("join", "OR"),
        ("g0.operator", "is"),
        ("g0.segment", "7"),
        ("g1.join", "AND"),
        ("g1.operator", "isNot"),
        ("g1.segment", "8"),
    ]
    audience = rule_of(asked, SEGMENTS).audience()
    assert audience is not None
    assert audience["expression"] == {
        "type": "OR",
        "exprs": [
            {"type": "AND", "exprs": [condition("7")]},
            {"type": "AND", "exprs": [condition("8", "isNot")]},
        ],
    }


def test_what_is_no_segment_is_said() -> None:
    """It is left out of the audience, and kept on the page."""
    rule = rule_of([("g0.operator", "loud"), ("g0.segment", "nope")], SEGMENTS)
    assert (rule.audience(), rule.unknown) == (None, ["nope"])
    assert rule.groups[0].conditions[0].operator == "is"


def test_a_group_is_added_up_to_a_bound() -> None:
    """An address cannot make a page without end."""
    one = [("g0.operator", "is"), ("g0.segment", "7"), ("add", "group")]
    assert len(rule_of(one, SEGMENTS).groups) == 2
    many = [
        (f"g{n}.{field}", value)
        for n in range(30)
        for field, value in (("operator", "is"), ("segment", "7"))
    ]
    assert len(rule_of([*many, ("add", "group")], SEGMENTS).groups) == MOST_GROUPS
