"""Properties: flat, canonical, and never a reason to fail."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from heapline.errors import InvalidEvent
from heapline.events.properties import (
    DEEPEST_LEVEL,
    SAFE_INTEGER,
    TOO_DEEP,
    canonical_json,
    flatten,
    text_of,
)

if TYPE_CHECKING:
    from random import Random

any_text = st.text(st.characters(exclude_categories=()))
keys = any_text | st.text("ab.", max_size=4)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary() | st.decimals()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys | st.integers() | st.none(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)
objects = st.dictionaries(keys | st.integers(), values, max_size=6)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Unprintable:
    """A value that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@given(objects)
def test_any_properties_become_a_json_object(properties: dict[Any, Any]) -> None:
    """Whatever is in them, the text is strict JSON, valid UTF-8 and an object."""
    text = canonical_json(flatten(properties))
    assert isinstance(orjson.loads(text.encode("utf-8")), dict)


@given(objects)
def test_the_text_is_canonical(properties: dict[Any, Any]) -> None:
    """What is read back from the text is written as the same text by the reference package."""
    text = canonical_json(properties)
    assert rfc8785.dumps(json.loads(text, parse_int=float)).decode() == text
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), json_values, max_size=6))
@example({"😀": 1, "דּ": 2, "é": 3})
@example({"n": [1.0, -0.0, 1e21, 1e16, 1e-5, 1e-6, 1e-7, 123456.789, 5e-324, 0.1]})
@example({"c": '\x00\x08\x0c\x1f\x7f\u2028\u2029"\\/'})
def test_the_fast_way_writes_what_the_reference_package_writes(properties: dict[str, Any]) -> None:
    """For plain JSON, both ways agree byte for byte."""
    assert canonical_json(properties) == rfc8785.dumps(properties).decode()


@given(objects)
def test_flattening_twice_changes_nothing(properties: dict[Any, Any]) -> None:
    """Flat properties are their own flat form."""
    flat = flatten(properties)
    assert canonical_json(flatten(flat)) == canonical_json(flat)
    assert not any(isinstance(value, dict) for value in flat.values())


@given(objects, st.randoms())
def test_the_order_of_members_does_not_matter(properties: dict[Any, Any], random: Random) -> None:
    """The same members in another order have the same text, collisions or not."""
    readable = json.loads(canonical_json(properties))
    members = list(readable.items())
    random.shuffle(members)
    assert canonical_json(flatten(dict(members))) == canonical_json(flatten(readable))


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({}, {}),
        ({"a": {"b": {"c": 1}}}, {"a.b.c": 1}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": 2}),
        ({"a": {"b": 2}, "a.b": 1}, {"a.b": 2}),
        ({"a": {"b.c": 1, "b": {"c": 2}}, "a.b.c": 3, "a.b": {"c": 4}}, {"a.b.c": 2}),
        ({"a": {}, "b": 1}, {"b": 1}),
        ({"a": {}, "a.b": 1}, {"a.b": 1}),
        ({"a": [{"b": {"c": 1}}]}, {"a": [{"b": {"c": 1}}]}),
        ({"": {"": 1}}, {".": 1}),
        ({1: {2: 3}}, {"1.2": 3}),
        ({1: "number", "1": "text"}, {"1": "text"}),
        ({"1": "text", 1: "number"}, {"1": "text"}),
    ],
)
def test_flattening(nested: dict[Any, Any], flat: dict[str, Any]) -> None:
    """Objects become dotted keys; nested wins over dotted; arrays stay."""
    assert flatten(nested) == flat


def test_later_objects_win() -> None:
    """Several objects become one."""
    assert flatten({"a": {"b": 1}, "c": 2}, {"a.b": 3}) == {"a.b": 3, "c": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (10**400, '"Infinity"'),
        (-(10**400), '"-Infinity"'),
        (2**53, "9007199254740992"),
        (2**64 + 1, "18446744073709552000"),
        (3.0, "3"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (Decimal("1.50"), "1.5"),
        (Decimal("sNaN"), '"NaN"'),
        ("\ud800x", '"\ufffdx"'),
        ("\ud83d\ude00", '"😀"'),
        ("\x00\x1f", '"\\u0000\\u001f"'),
        (b"\xff", '"\ufffd"'),
        ((1, 2), "[1,2]"),
        ({"b", "a"}, '["a","b"]'),
        (Unprintable(), '"(Unprintable)"'),
    ],
)
def test_repairs(value: object, text: str) -> None:
    """What JSON cannot say is said as near as can be."""
    assert canonical_json({"k": value}) == f'{{"k":{text}}}'


def test_a_bomb_of_objects_is_cut() -> None:
    """A million levels of objects do not exhaust the stack."""
    bomb: dict[str, Any] = {}
    for _ in range(1_000_000):
        bomb = {"a": bomb}
    flat = flatten({"x": 1, "bomb": bomb})
    assert flat == {"x": 1, "bomb" + ".a" * DEEPEST_LEVEL: TOO_DEEP}
    while bomb:  # else the interpreter takes it down recursively
        bomb = bomb["a"]


def test_a_bomb_of_arrays_is_cut() -> None:
    """Nor do a million levels of arrays."""
    bomb: list[Any] = []
    for _ in range(1_000_000):
        bomb = [bomb]
    text = canonical_json({"bomb": bomb})
    assert text == '{"bomb":' + "[" * DEEPEST_LEVEL + f'"{TOO_DEEP}"' + "]" * DEEPEST_LEVEL + "}"
    while bomb:
        bomb = bomb[0]


def test_a_circle_is_cut() -> None:
    """An object that holds itself is followed so far and no further."""
    circle: dict[str, Any] = {"n": 1}
    circle["self"] = circle
    flat = flatten(circle)
    assert flat["self.n"] == 1
    assert flat["self" + ".self" * DEEPEST_LEVEL] == TOO_DEEP


@pytest.mark.parametrize("container", ["object", "array"])
def test_shared_references_that_stand_for_billions_are_refused(container: str) -> None:
    """A few objects that would unfold into 2^60 are refused as too large, at once."""
    laughs: Any = "ha"
    for _ in range(60):
        laughs = {"a": laughs, "b": laughs} if container == "object" else [laughs, laughs]
    with pytest.raises(InvalidEvent) as refused:
        canonical_json(flatten({"laughs": laughs}))
    assert refused.value.reason == "too_large"


def test_many_long_paths_are_refused() -> None:
    """Flat keys that add up to gigabytes are refused before they are made."""
    wide = {str(number): 1 for number in range(100_000)}
    with pytest.raises(InvalidEvent, match="too large"):
        flatten({"x" * 50_000: wide})


def test_input_is_left_alone() -> None:
    """Neither call changes what it is given."""
    properties = {"a": {"b": [1.0, "\ud800"]}, 3: math.nan}
    canonical_json(flatten(properties))
    assert list(properties) == ["a", 3]
    assert properties["a"] == {"b": [1.0, "\ud800"]}


@given(any_text)
def test_text_can_always_be_encoded(text: str) -> None:
    """Text is changed only where UTF-8 could not carry it."""
    repaired = text_of(text)
    repaired.encode("utf-8")
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        assert repaired == text
