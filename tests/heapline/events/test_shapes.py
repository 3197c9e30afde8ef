"""The three source shapes, and whatever else somebody may hand over."""

from __future__ import annotations

import json
import math
import os
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import InvalidEvent
from heapline.events import Event, Refusal, Shape, to_event
from heapline.events.shapes import id_text, shape_of
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.words import Workspace
from tests.fakes.schema_source import FakeSchemas

NOW_MS = 1_800_000_000_000
ACME = Workspace("acme")
V2: dict[str, Any] = {
    "version": 2,
    "name": "cb:nudge_viewed",
    "is_admin": False,
    "is_simulated": False,
    "end_user_properties": {"email": "somebody@example.com"},
    "organization_key": "acme",
    "distinct_id": "user-1",
    "anon_distinct_id": "anon-1",
    "timestamp": "2026-03-01T09:30:00.125Z",
    "sent_at": "2026-03-01T09:30:01.125Z",
    "page": {"domain": "example.com", "hash": "", "path": "/a", "query": "?b", "title": "A"},
    "scrubbers": ["url"],
    "properties": {"step": 2, "nested": {"deep": True}},
    "nudge": {"id": 3, "step": {"id": 1}},
    "source": {"type": "nudge", "properties": {"x": 1}},
    "decide": {"answer": 42},
    "launch_code": "secret-ish",
    "user_agent": "Browser/1",
    "client_version": {"sdk": "1"},
}
V1: dict[str, Any] = {
    "context": {
        "page": {"path": "/a", "title": "A", "url": "https://example.com/a", "search": "?b"},
        "meta": {"email": "somebody@example.com"},
        "userAgent": "Browser/1",
        "groupId": "g",
        "cbSource": "bar",
    },
    "userType": "end_user",
    "type": "t",
    "attrs": {"type": "nudge_seen", "nudge": {"id": "n1"}, "status": {"is_preview": False}},
    "id": 7,
    "session": "session-1",
    "search": "how to",
    "reportToSegment": True,
    "fingerprint": "print-1",
    "clientEventTimestamp": "2026-03-01T09:30:00.125Z",
    "clientFlushedTimestamp": "2026-03-01T09:30:01.125Z",
}
CALLBACK: dict[str, Any] = {
    "name": "nudge_shown",
    "data": {"type": "nudge_shown", "nudge": {"id": "n1"}},
    "user_id": "user-1",
    "timestamp": 1_772_357_400_125,
    "workspace": "acme",
}


def event_of(payload: object, workspace: Workspace | None = ACME) -> Event:
    """Make an event now."""
    return to_event(payload, now_ms=NOW_MS, workspace=workspace)


def properties_of(payload: object) -> dict[str, Any]:
    """Give an event's properties."""
    properties: dict[str, Any] = json.loads(event_of(payload).properties)
    return properties


def test_v2_envelope() -> None:
    """A v2 envelope gives all it says, and only what Heap may know."""
    event = event_of(V2, workspace=None)
    assert (event.workspace, event.name, event.shape) == ("acme", "cb:nudge_viewed", Shape.V2)
    assert (event.user_id, event.anonymous_id, event.session_id) == ("user-1", "anon-1", None)
    assert (event.timestamp_ms, event.received_at_ms) == (1_772_357_400_125, NOW_MS)
    assert event.scrubbers == ("url",)
    assert (event.is_admin, event.is_simulated, event.is_preview) == (False, False, False)
    assert json.loads(event.properties) == {
        "step": 2,
        "nested.deep": True,
        "nudge.id": 3,
        "nudge.step.id": 1,
        "page.domain": "example.com",
        "page.hash": "",
        "page.path": "/a",
        "page.query": "?b",
        "page.title": "A",
        "source.type": "nudge",
        "source.properties.x": 1,
    }


def test_v1_payload() -> None:
    """A v1 payload gives all it says, and only what Heap may know."""
    event = event_of(V1)
    assert (event.workspace, event.name, event.shape) == ("acme", "nudge_seen", Shape.V1)
    assert (event.user_id, event.anonymous_id, event.session_id) == ("7", "print-1", "session-1")
    assert event.timestamp_ms == 1_772_357_400_125
    assert (event.is_admin, event.is_simulated, event.is_preview) == (False, False, False)
    assert json.loads(event.properties) == {
        "type": "nudge_seen",
        "nudge.id": "n1",
        "status.is_preview": False,
        "page.path": "/a",
        "page.title": "A",
        "page.url": "https://example.com/a",
        "page.search": "?b",
        "search": "how to",
        "source.type": "bar",
        "userType": "end_user",
    }


def test_callback() -> None:
    """What a subscriber's callback would hand on gives its data without a prefix."""
    event = event_of(CALLBACK, workspace=None)
    assert (event.workspace, event.name, event.shape) == ("acme", "nudge_shown", Shape.CALLBACK)
    assert (event.user_id, event.timestamp_ms) == ("user-1", 1_772_357_400_125)
    assert json.loads(event.properties) == {"type": "nudge_shown", "nudge.id": "n1"}


def test_optional_parts_of_a_callback() -> None:
    """Session and anonymous id are taken where they are given."""
    event = event_of(CALLBACK | {"session_id": "s", "anonymous_id": 8})
    assert (event.session_id, event.anonymous_id) == ("s", "8")


@pytest.mark.parametrize(
    ("payload", "shape"),
    [
        (V1, Shape.V1),
        (V2, Shape.V2),
        (CALLBACK, Shape.CALLBACK),
        ({"name": "cb:click", "properties": {}, "organization_key": "acme"}, Shape.V2),
        ({"name": "cb:click", "data": {}}, Shape.CALLBACK),
        ({"name": "new_name", "distinct_id": "u"}, Shape.V2),
        ({"name": "Identify", "userType": "end_user"}, Shape.V1),
        ({"name": 3}, Shape.CALLBACK),
        ({}, Shape.CALLBACK),
    ],
)
def test_shapes_are_told_apart(payload: dict[str, Any], shape: Shape) -> None:
    """A shape is known by the fields that only it has; a name alone decides nothing it need not."""
    assert shape_of(payload) is shape


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (V1 | {"name": "Nudge shown"}, "Nudge shown"),
        (V1 | {"type": "i", "attrs": {"email": "x"}}, "Identify"),
        (V1 | {"type": "i", "name": "Boot"}, "Boot"),
        ({"data": {"type": "opened"}, "user_id": "u"}, "opened"),
        (CALLBACK | {"name": "entirely new"}, "entirely new"),
        (CALLBACK | {"name": " padded "}, " padded "),
        (CALLBACK | {"name": "\ud800"}, "\ufffd"),
        (CALLBACK | {"name": "null"}, "null"),
        (CALLBACK | {"name": 404}, "404"),
        (CALLBACK | {"name": "n" * 5000}, "n" * 5000),
    ],
)
def test_names_are_as_received(payload: dict[str, Any], name: str) -> None:
    """Names are an open set and travel as they are."""
    assert event_of(payload).name == name


@pytest.mark.parametrize("name", [None, "", "   ", [], {}, True, math.nan])
def test_no_name(name: object) -> None:
    """Without a name it is no event."""
    with pytest.raises(InvalidEvent, match="no name") as refused:
        event_of({"name": name, "data": {}, "user_id": "u"})
    assert refused.value.reason == Refusal.NAME_MISSING


def test_the_workspace_in_the_payload_wins() -> None:
    """organization_key, else workspace, else the caller's."""
    both = CALLBACK | {"organization_key": "first", "workspace": "second"}
    assert event_of(both).workspace == "first"
    assert event_of(CALLBACK | {"workspace": "second"}).workspace == "second"
    assert event_of(CALLBACK | {"workspace": None}).workspace == "acme"
    assert event_of(CALLBACK | {"workspace": 12}).workspace == "12"


@pytest.mark.parametrize("nothing", [None, "", "null", "undefined", True, {}])
def test_no_workspace(nothing: object) -> None:
    """Without any workspace it is refused, and the message says how to name one."""
    with pytest.raises(InvalidEvent, match="organization_key") as refused:
        event_of(CALLBACK | {"workspace": nothing, "organization_key": nothing}, workspace=None)
    assert refused.value.reason == "workspace_missing"


@pytest.mark.parametrize("payload", [None, [], "text", 3, [("name", "x")]])
def test_not_an_object(payload: object) -> None:
    """Only a mapping can be an event."""
    with pytest.raises(InvalidEvent) as refused:
        event_of(payload)
    assert refused.value.reason == Refusal.NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("user-1", "user-1"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (2**63, "9223372036854775808"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("\udc00", "\ufffd"),
        ("0", "0"),
        (" ", " "),
        (None, None),
        ("", None),
        ("null", None),
        ("undefined", None),
        (True, None),
        (math.nan, None),
        (math.inf, None),
        pytest.param(10**5000, None, id="enormous"),
        ([], None),
    ],
)
def test_ids(value: object, text: str | None) -> None:
    """Numbers become text; what stands for no id is none."""
    assert id_text(value) == text
    assert event_of({"name": "x", "user_id": value}).user_id == text


@pytest.mark.parametrize(
    ("payload", "flags"),
    [
        (V2 | {"is_admin": True}, (True, False, False)),
        (V2 | {"is_simulated": True}, (False, True, False)),
        (V2 | {"is_admin": "true", "is_simulated": 1}, (True, True, False)),
        (V2 | {"is_admin": "false", "is_simulated": 0}, (False, False, False)),
        (V1 | {"userType": "admin"}, (True, False, False)),
        (V1 | {"userType": "likely-admin"}, (True, False, False)),
        (V1 | {"attrs": {"type": "x", "status": {"is_preview": True}}}, (False, False, True)),
        (CALLBACK | {"data": {"status": {"is_preview": True}}}, (False, False, True)),
        (CALLBACK | {"data": {"status.is_preview": True}}, (False, False, True)),
        (CALLBACK | {"data": {"status": {"is_preview": False}}}, (False, False, False)),
        (CALLBACK | {"is_preview": True}, (False, False, True)),
    ],
)
def test_test_traffic_is_marked(payload: dict[str, Any], flags: tuple[bool, bool, bool]) -> None:
    """Admin, simulated and preview traffic is known in every shape."""
    event = event_of(payload)
    assert (event.is_admin, event.is_simulated, event.is_preview) == flags


def test_personal_data_stays_out() -> None:
    """Neither shape lets traits, browser or metadata through, wherever they hide."""
    hidden = {"end_user_properties": {"email": "x"}, "copilot": {"end_user_properties": {"a": 1}}}
    for payload in (
        V2 | hidden,
        V1 | hidden,
        V1 | {"type": "i", "attrs": {"email": "somebody@example.com"}},
        CALLBACK | {"data": {"end_user_properties": {"email": "x"}}} | hidden,
        CALLBACK | {"data": {"a": {"end_user_properties": "x"}}},
    ):
        text = event_of(payload).properties
        for trace in ("email", "somebody", "end_user_properties", "Browser", "secret-ish", "42"):
            assert trace not in text


@pytest.mark.parametrize("value", ["text", 3, [1, 2], True])
@pytest.mark.parametrize(
    ("payload", "name"), [(V1 | {"name": "x"}, "attrs"), (V2, "properties"), (CALLBACK, "data")]
)
def test_properties_that_are_no_object(payload: dict[str, Any], name: str, value: object) -> None:
    """They become one property under the field's own name."""
    assert properties_of(payload | {name: value})[name] == value


def test_the_envelope_wins_over_properties_of_its_name() -> None:
    """Where properties have a page of their own, the envelope's page is meant."""
    payload = V2 | {"properties": {"page": {"path": "/other", "more": 1}, "page.title": "B"}}
    assert properties_of(payload)["page.path"] == "/a"
    assert properties_of(payload)["page.title"] == "A"
    assert properties_of(payload)["page.more"] == 1


@pytest.mark.parametrize(
    ("value", "scrubbers"),
    [(None, ()), ("url", ("url",)), (["a", 1, None, "\ud800"], ("a", "\ufffd")), ({}, ()), (1, ())],
)
def test_scrubbers(value: object, scrubbers: tuple[str, ...]) -> None:
    """Only texts count as scrubbers."""
    assert event_of(V2 | {"scrubbers": value}).scrubbers == scrubbers


@pytest.mark.parametrize("payload", [V1, V2, CALLBACK], ids=["v1", "v2", "callback"])
def test_the_same_source_event_has_the_same_id(payload: dict[str, Any]) -> None:
    """However often and whenever it is published, in whatever order its members come."""
    first = to_event(payload, now_ms=NOW_MS, workspace=ACME)
    again = dict(reversed(json.loads(json.dumps(payload)).items()))
    second = to_event(again, now_ms=NOW_MS + 9999, workspace=ACME)
    assert first.event_id == second.event_id
    assert uuid.UUID(first.event_id).version == 5


@pytest.mark.parametrize("timestamp", ["2026-03-01T09:30:00Z", 1_772_357_400, None])
def test_without_milliseconds_two_events_are_two(timestamp: object) -> None:
    """Two like events within a second must not become one: each gets an id of its own."""
    payload = CALLBACK | {"timestamp": timestamp}
    ids = {event_of(payload).event_id for _ in range(10)}
    assert len(ids) == 10
    assert {uuid.UUID(made).version for made in ids} == {7}


@pytest.mark.parametrize("field", ["event_id", "message_id", "messageId"])
@pytest.mark.parametrize("payload", [V1, V2, CALLBACK], ids=["v1", "v2", "callback"])
def test_an_id_of_the_sources_own_is_kept(payload: dict[str, Any], field: str) -> None:
    """The source knows best, also without milliseconds."""
    assert event_of(payload | {field: "own-1", "timestamp": None}).event_id == "own-1"
    assert event_of(payload | {field: 12}).event_id == "12"
    assert event_of(payload | {field: "null"}).event_id == event_of(payload).event_id


def test_time_and_randomness_are_passed_in() -> None:
    """An absent timestamp is now; a fresh id is made of what it is given."""
    payload = {"name": "x", "user_id": "u"}
    event = to_event(payload, now_ms=NOW_MS, workspace=ACME, randomness=bytes)
    assert event.timestamp_ms == event.received_at_ms == NOW_MS
    assert event.event_id == "01a3185c-5000-7000-8000-000000000000"


def test_a_bad_timestamp_is_refused() -> None:
    """Rather than guess when it happened."""
    with pytest.raises(InvalidEvent) as refused:
        event_of(CALLBACK | {"timestamp": "soon"})
    assert refused.value.reason == "invalid_timestamp"


any_text = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(any_text | st.just("a.b"), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(sorted({*V1, *V2, *CALLBACK, "event_id", "messageId", "session_id"}))
known = st.sampled_from([*V1.items(), *V2.items(), *CALLBACK.items()])
payloads = st.builds(
    lambda odd, usual: dict(usual) | odd,
    st.dictionaries(fields | any_text, values, max_size=8),
    st.lists(known, max_size=12),
)
REFUSALS = set(Refusal)


@given(payloads)
def test_nothing_but_a_refusal_is_ever_raised(payload: dict[str, Any]) -> None:
    """Any payload becomes an event that Avro carries, or is refused for a known reason."""
    try:
        event = event_of(payload)
    except InvalidEvent as refused:
        assert refused.reason in REFUSALS  # noqa: PT017 -- either way is right
        return
    assert isinstance(json.loads(event.properties), dict)
    assert event.event_id
    assert event.name.strip()
    value = Encoder("CommandAIEvent", 1).encode(event.to_record())
    decoder = Decoder("CommandAIEvent", FakeSchemas({1: schema_text("CommandAIEvent")}))
    assert Event.from_record(decoder.decode(value)) == event


@given(payloads)
def test_publishing_twice(payload: dict[str, Any]) -> None:
    """The same payload twice is the same event, unless its id had to be drawn."""
    drawn = []

    def randomness(count: int) -> bytes:
        drawn.append(count)
        return os.urandom(count)

    def made() -> Event | str:
        try:
            return to_event(payload, now_ms=NOW_MS, workspace=ACME, randomness=randomness)
        except InvalidEvent as refused:
            return refused.reason

    first, second = made(), made()
    assert first == second or (drawn and isinstance(first, Event) and isinstance(second, Event))
