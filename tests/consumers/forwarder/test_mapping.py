"""What Heap is sent for an event."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder import heap_properties as heap_properties_module
from consumers.forwarder.heap_properties import cut, heap_properties
from consumers.forwarder.json_nesting import MAX_DEPTH
from consumers.forwarder.mapping import (
    FIRST_MS,
    LAST_MS,
    HeapEvent,
    Mapper,
    request_body,
    request_overhead,
)
from devstack.heap_simulator.track_rules import broken_event
from heapline.errors import Undeliverable
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.outcomes import DeadLetterReason
from heapline.words import AppId, EventId, UserId, Workspace
from tests.consumers.forwarder.heap_rules import checked, utf16_units

CONNECTION = Connection(Workspace("acme"), app_id=AppId("1001"), region=Region.US, send=Send.ON)
MOMENT_MS = 1_489_184_516_789  # 2017-03-10T22:21:56.789Z


def event(properties: str = "{}", **more: Any) -> Event:  # noqa: ANN401 -- any field of the event
    """Make a deliverable event unless told otherwise."""
    fields: dict[str, Any] = {
        "event_id": EventId("e-1"),
        "workspace": Workspace("acme"),
        "name": "nudge_clicked",
        "user_id": UserId("u-1"),
        "timestamp_ms": MOMENT_MS,
        "received_at_ms": MOMENT_MS + 5,
        "properties": properties,
    }
    return Event(**(fields | more))


def mapped(subject: Event, identity: str = "u-1") -> dict[str, Any]:
    """Map an event and parse what Heap would get."""
    return checked(Mapper(CONNECTION).map(subject, identity).body)


def properties_of(text: str) -> dict[str, Any]:
    """Map an event's properties and parse what Heap would get."""
    properties: dict[str, Any] = mapped(event(text))["properties"]
    return properties


def refusal(subject: Event, identity: str = "u-1") -> str:
    """Map an event that cannot be mapped and give the reason."""
    with pytest.raises(Undeliverable) as caught:
        Mapper(CONNECTION).map(subject, identity)
    return caught.value.reason


def test_an_event_becomes_one_object_of_a_bulk_request() -> None:
    """Name, moment, identity, key and properties, and nothing else."""
    subject = event('{"nudge.id": "7", "step": 2}', session_id="s-1", anonymous_id="a-1")
    sent = Mapper(CONNECTION).map(subject, "alice@example.com")
    assert (sent.identity, sent.idempotency_key) == ("alice@example.com", "e-1")
    assert checked(sent.body) == {
        "identity": "alice@example.com",
        "event": "nudge_clicked",
        "timestamp": "2017-03-10T22:21:56.789+00:00",
        "idempotency_key": "e-1",
        "properties": {"nudge.id": "7", "step": 2},
    }


@pytest.mark.parametrize("name", ["nudge_seen", "nudge_shown", "Nudge Shown", "cb:überraschung 🎉"])
def test_names_are_sent_as_received(name: str) -> None:
    """Two names of one event stay two names."""
    assert mapped(event(name=name))["event"] == name


@pytest.mark.parametrize(
    ("timestamp_ms", "expected"),
    [
        (0, "1970-01-01T00:00:00.000+00:00"),
        (-1, "1969-12-31T23:59:59.999+00:00"),
        (951_782_400_000, "2000-02-29T00:00:00.000+00:00"),
        (FIRST_MS, "0001-01-01T00:00:00.000+00:00"),
        (LAST_MS, "9999-12-31T23:59:59.999+00:00"),
    ],
)
def test_moments_are_iso_8601_in_utc(timestamp_ms: int, expected: str) -> None:
    """Every moment with a year of four digits can be written."""
    assert mapped(event(timestamp_ms=timestamp_ms))["timestamp"] == expected


@given(st.lists(st.datetimes(), min_size=1, max_size=20))
def test_moments_are_those_of_the_standard_library(moments: list[Any]) -> None:
    """One mapper writes any sequence of moments as `datetime.isoformat` does."""
    mapper = Mapper(CONNECTION)
    for moment in moments:
        whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        since = whole - type(whole)(1970, 1, 1)
        ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
        sent = checked(mapper.map(event(timestamp_ms=ms), "u").body)
        assert sent["timestamp"] == whole.isoformat(timespec="milliseconds") + "+00:00"


@pytest.mark.parametrize(
    ("subject", "identity", "reason"),
    [
        (event(timestamp_ms=FIRST_MS - 1), "u", DeadLetterReason.INVALID_TIMESTAMP),
        (event(timestamp_ms=LAST_MS + 1), "u", DeadLetterReason.INVALID_TIMESTAMP),
        (event(timestamp_ms=2**63 - 1), "u", DeadLetterReason.INVALID_TIMESTAMP),
        (event(timestamp_ms=-(2**63)), "u", DeadLetterReason.INVALID_TIMESTAMP),
        (event(event_id=""), "u", DeadLetterReason.EVENT_ID_MISSING),
        (event(event_id=" \n"), "u", DeadLetterReason.EVENT_ID_MISSING),
        (event(name=""), "u", DeadLetterReason.NAME_MISSING),
        (event(name="\t"), "u", DeadLetterReason.NAME_MISSING),
        (event(name="n" * 1025), "u", DeadLetterReason.NAME_TOO_LONG),
        (event(name="🎉" * 513), "u", DeadLetterReason.NAME_TOO_LONG),
        (event(), "i" * 256, DeadLetterReason.IDENTITY_TOO_LONG),
        (event(), "🎉" * 128, DeadLetterReason.IDENTITY_TOO_LONG),
        (event(name="\ud800"), "u", DeadLetterReason.UNDECODABLE),
        (event(), "\udfff", DeadLetterReason.UNDECODABLE),
    ],
)
def test_what_heap_cannot_take_is_refused_by_reason(
    subject: Event, identity: str, reason: DeadLetterReason
) -> None:
    """Names and identities are never cut: two would become one."""
    assert refusal(subject, identity) == reason


@pytest.mark.parametrize("identity", ["i" * 255, "é" * 255, "🎉" * 127, " ", "\x00"])
def test_identities_up_to_the_limit_pass_unchanged(identity: str) -> None:
    """255 characters, however many bytes."""
    assert mapped(event(), identity)["identity"] == identity


@pytest.mark.parametrize("name", ["n" * 1024, "é" * 1024, "🎉" * 512])
def test_names_up_to_the_limit_pass_unchanged(name: str) -> None:
    """1,024 characters, however many bytes."""
    assert mapped(event(name=name))["event"] == name


@pytest.mark.parametrize("text", ["", " \n", "{}", " { } ", '{"a": null}', '{"a": [], "b": {}}'])
def test_nothing_to_say_is_no_properties(text: str) -> None:
    """An empty text, an empty object and nulls all deliver the event without properties."""
    assert properties_of(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        "3",
        '"{}"',
        "nonsense",
        '{"a": 1',
        "{'a': 1}",
        '{"a": 1}}',
        '{"a": "raw\nnewline"}',
        "\ufeff{}",
        "\x00",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a":' * MAX_DEPTH + "{}" + "}" * MAX_DEPTH,
        '{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    """Text that is not JSON, not an object, or nested beyond reason."""
    assert refusal(event(text)) == DeadLetterReason.INVALID_PROPERTIES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": {"c": 1}}, "d": 2}', {"a.b.c": 1, "d": 2}),
        ('{"a.b": 1, "a": {"b": 2}}', {"a.b": 2}),
        ('{"a": {"b": 2}, "a.b": 1}', {"a.b": 2}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"": 1, "a": {"": 2}}', {"": 1, "a.": 2}),
        ('{"t": true, "f": false, "n": null}', {"t": "true", "f": "false"}),
        ('{"a": ["x", "y"]}', {"a": "x||y"}),
        ('{"a": ["x", 1, 2.5, true, null, "y"]}', {"a": "x||1||2.5||true||y"}),
        ('{"a": [""], "b": [null], "c": []}', {"a": ""}),
        ('{"a": {"b": ["x", false]}}', {"a.b": "x||false"}),
        ('{"a": [{"q": "é", "n": 1.0}, "x"]}', {"a": '[{"q":"é","n":1.0},"x"]'}),
        ('{"a": [[1, 2], []]}', {"a": "[[1,2],[]]"}),
        ('{"a": 1, "b": -2.5, "c": 1e3, "d": 0.1}', {"a": 1, "b": -2.5, "c": 1000.0, "d": 0.1}),
        ('{"a": "tab\\t nul\\u0000 \\u001f"}', {"a": "tab\t nul\x00 \x1f"}),
        ('{"end_user_properties": {"email": "a@b"}, "a": 1}', {"a": 1}),
        ('{"end_user_properties.email": "a@b", "a": 1}', {"a": 1}),
    ],
)
def test_properties_become_one_flat_object(text: str, expected: dict[str, Any]) -> None:
    """Dots, joined arrays, truths as text, nothing for nulls."""
    assert properties_of(text) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ("9007199254740993", "9007199254740993"),
        ("-9007199254740993", "-9007199254740993"),
        ("18446744073709551617", "18446744073709551617"),
        ("-123456789012345678901234567890", "-123456789012345678901234567890"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e400", "Infinity"),
        ("1e300", 1e300),
        ("-0", 0),
        ("7" * 1000, "7" * 1000),
        ("7" * 100_000, "7" * 1023),
    ],
)
def test_numbers_json_or_doubles_cannot_hold_become_text(number: str, expected: object) -> None:
    """No digit is lost, and nothing is written that is no JSON; wherever the number stands."""
    assert properties_of(f'{{"n": {number}}}') == {"n": expected}
    assert properties_of(f'{{"a": {{"n": {number}}}}}') == {"a.n": expected}
    assert properties_of(f'{{"n": {number}, "t": ["x"]}}') == {"n": expected, "t": "x"}


def test_huge_numbers_in_arrays_keep_their_digits() -> None:
    """Joined, or inside JSON text."""
    digits = "123456789012345678901234567890"
    assert properties_of(f'{{"a": ["x", {digits}]}}') == {"a": f"x||{digits}"}
    assert properties_of(f'{{"a": [{{"id": {digits}}}]}}') == {"a": f'[{{"id":{digits}}}]'}


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\udc00\\ud800", "\ud800"])
def test_lone_surrogates_become_replacement_characters(half: str) -> None:
    """UTF-8 cannot carry half a pair: in a key, a value, an array or JSON text."""
    document = f'{{"k{half}": 1, "v": "{half}", "a": ["{half}"], "j": [["{half}"]]}}'
    lone = "\ufffd" * (2 if len(half) > 6 else 1)
    assert properties_of(document) == {
        f"k{lone}": 1,
        "v": lone,
        "a": lone,
        "j": f'[["{lone}"]]',
    }


def test_a_surrogate_pair_is_one_character() -> None:
    """An escaped pair is no lone surrogate."""
    assert properties_of('{"a": "\\ud83c\\udf89"}') == {"a": "🎉"}


@pytest.mark.parametrize(
    ("long", "kept"),
    [
        ("x" * 1023, "x" * 1023),
        ("x" * 1024, "x" * 1023),
        ("é" * 2000, "é" * 1023),
        ("🎉" * 511, "🎉" * 511),
        ("🎉" * 512, "🎉" * 511),
        ("x" + "🎉" * 511, "x" + "🎉" * 511),
        ("x" + "🎉" * 600, "x" + "🎉" * 511),
    ],
)
def test_keys_and_texts_are_cut_at_1023_characters(long: str, kept: str) -> None:
    """Whichever way characters are counted, and never inside a character."""
    assert properties_of(json.dumps({"v": long, long: 1})) == {"v": kept, kept: 1}
    assert properties_of(json.dumps({"a": {"b": [long]}})) == {"a.b": kept}


@given(st.text(st.sampled_from("aé€🎉"), max_size=2000))
def test_cutting_keeps_the_longest_beginning_that_fits(text: str) -> None:
    """One character more would be too long."""
    kept = cut(text)
    assert text.startswith(kept)
    assert utf16_units(kept) <= 1023
    assert kept == text or utf16_units(text[: len(kept) + 1]) > 1023


def test_of_keys_equal_after_cutting_the_later_wins() -> None:
    """In the order of the text."""
    key = "k" * 1023
    assert properties_of(json.dumps({key + "a": 1, key + "b": 2})) == {key: 2}
    assert properties_of(json.dumps({key + "b": 2, key: 3, key + "a": 1})) == {key: 1}


def test_a_long_key_over_many_members_is_too_large() -> None:
    """Written out with dots, one megabyte of such properties would become hundreds."""
    members = {f"m{number}": 1 for number in range(20_000)}
    assert refusal(event(json.dumps({"k" * 20_000: members}))) == DeadLetterReason.TOO_LARGE


def test_many_properties_pass() -> None:
    """Heap names no bound on their number; the size of a request bounds them."""
    many = {f"p{number}": number for number in range(5_000)}
    assert properties_of(json.dumps(many)) == many


def test_refusals_tell_nothing_of_the_content() -> None:
    """Messages stand in logs and headers."""
    for subject, identity in (
        (event('{"password": hunter2'), "u"),
        (event('["hunter2"]'), "u"),
        (event(name="hunter2" * 200), "u"),
        (event(), "hunter2" * 50),
    ):
        with pytest.raises(Undeliverable) as caught:
            Mapper(CONNECTION).map(subject, identity)
        assert "hunter2" not in str(caught.value)


def test_bodies_are_joined_into_one_request() -> None:
    """A bulk request, whose size is known before it is made."""
    sent = [Mapper(CONNECTION).map(event(event_id=f"e-{n}"), "u").body for n in range(3)]
    for app_id in ("1001", 'quo"te', "ümläut"):
        for bodies in (sent[:1], sent):
            body = request_body(app_id, bodies)
            assert json.loads(body) == {
                "app_id": app_id,
                "events": [json.loads(one) for one in bodies],
            }
            commas = len(bodies) - 1
            assert len(body) == request_overhead(app_id) + sum(map(len, bodies)) + commas


def test_mapping_is_repeatable() -> None:
    """The same event gives the same bytes, from a used mapper and from a new one."""
    mapper = Mapper(CONNECTION)
    texts = ['{"a": {"b": [1, {"c": null}]}}', '{"a.b": 1}', '{"n": NaN}'] * 2
    first = [mapper.map(event(text), "u") for text in texts]
    assert first == [Mapper(CONNECTION).map(event(text), "u") for text in texts]
    assert isinstance(first[0], HeapEvent)


alphabet = st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('.|"{}[]🎉')
long_texts = st.builds(
    lambda piece, times, end: piece * times + end,
    st.sampled_from(["a", "é", "🎉", "a🎉"]),
    st.integers(300, 1100),
    st.sampled_from(["", "b", "🎊"]),
)
texts = st.text(alphabet, max_size=10) | long_texts
keys = st.sampled_from(["a", "b", "a.b", "", "url", "k" * 1023 + "x", "k" * 1024]) | texts
scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=5)


@given(objects, st.booleans())
def test_any_object_satisfies_heap(document: dict[str, Any], escaped: bool) -> None:  # noqa: FBT001 -- drawn
    """Whatever the properties, the event fits Heap's reference and the simulator takes it."""
    body = Mapper(CONNECTION).map(event(json.dumps(document, ensure_ascii=escaped)), "u-1").body
    assert broken_event(checked(body)) is None


@given(st.text() | st.from_regex(r'[{}\[\]",:0-9a.eE+-]{0,30}', fullmatch=True))
def test_any_text_is_either_refused_or_satisfies_heap(text: str) -> None:
    """No text of properties does anything else than map or be refused as invalid."""
    try:
        body = Mapper(CONNECTION).map(event(text), "u-1").body
    except Undeliverable as error:
        refused = error.reason
    else:
        refused = broken_event(checked(body)) or ""
    assert refused in {"", DeadLetterReason.INVALID_PROPERTIES}


@given(objects)
def test_the_short_path_gives_what_the_exact_path_gives(document: dict[str, Any]) -> None:
    """Where the short path answers at all, the exact one answers the same; order means nothing."""
    text = json.dumps(document)
    short = heap_properties_module._short_path(text, "", None)
    exact = heap_properties_module._mapped(
        heap_properties_module._flat(heap_properties_module._document(text))
    )
    if short is not None:
        assert short == exact
        assert {k: type(v) for k, v in short.items()} == {k: type(v) for k, v in exact.items()}


@given(objects)
def test_mapping_properties_twice_changes_nothing(document: dict[str, Any]) -> None:
    """What Heap gets is already as Heap wants it."""
    once = heap_properties(json.dumps(document))
    assert heap_properties(orjson.dumps(once).decode()) == once


@given(st.dictionaries(st.text("abc", max_size=3), st.floats(), max_size=5))
def test_every_number_a_double_can_hold_arrives_exactly(document: dict[str, float]) -> None:
    """Finite ones as the same number, the others as their names."""
    expected = {
        key: value if math.isfinite(value) else json.dumps(value) for key, value in document.items()
    }
    assert properties_of(json.dumps(document)) == expected
