"""Every kind of bad record through the real path, in one run; each ends where the rules say."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from devstack.heap_simulator import SimulatorSettings, running_simulator
from heapline.heap.connection import Send
from heapline.kafka import topics
from heapline.kafka.codec import frame
from heapline.kafka.headers import DeadLetter
from heapline.kafka.schemas import schema_text
from heapline.outcomes import DeadLetterReason as Dead
from heapline.outcomes import DeferReason, SkipReason
from tests.forwarding.harness import FOREIGN_HEADER, UNLIMITED, Audit, Forwarding, headers_of
from tests.on_kafka import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from confluent_kafka import Message

    from devstack.world import World

pytestmark = pytest.mark.slow

WS = "acme"
HELD = "held"
"""A workspace whose Send is on hold."""


@dataclass(frozen=True)
class Delivered:
    """Heap got it; these fields of it are as given."""

    fields: Mapping[str, Any] = field(default_factory=dict)


Fate = Delivered | Dead | SkipReason | DeferReason


@dataclass(frozen=True)
class Case:
    """One record and what must become of it."""

    name: str
    make: Callable[[Contracts, str], tuple[bytes | None, bytes | None]]
    fate: Fate


class Contracts:
    """Writes records of the contract and of its strange relatives."""

    def __init__(self, there: Forwarding) -> None:
        self.there = there

    def good(self, event_id: str, **changes: Any) -> bytes:  # noqa: ANN401 -- any field
        """Write an event by the contract."""
        event = self.there.event(WS, 0, event_id=event_id, **changes)
        return self.there.events.encode(event.to_record())

    def evolved(
        self,
        event_id: str,
        change: Callable[[dict[str, Any]], None],
        /,
        **values: Any,  # noqa: ANN401 -- any field
    ) -> bytes:
        """Write an event by a changed contract, registered with compatibility off."""
        schema = json.loads(schema_text("CommandAIEvent"))
        fields = {each["name"]: each for each in schema["fields"]}
        change(fields)
        schema["fields"] = list(fields.values())
        event = self.there.event(WS, 0, event_id=event_id)
        return self.there.written_by(schema, event.to_record() | values)


def _event(name: str, fate: Fate, /, **changes: Any) -> Case:  # noqa: ANN401 -- any field
    """A record by the contract, with some fields made different."""

    def make(contracts: Contracts, event_id: str) -> tuple[bytes, bytes]:
        return WS.encode(), contracts.good(**({"event_id": event_id} | changes))

    return Case(name, make, fate)


def _raw(name: str, fate: Fate, change: Callable[[bytes], bytes | None]) -> Case:
    """A good record whose bytes were changed."""
    return Case(name, lambda c, i: (WS.encode(), change(c.good(i))), fate)


def _keyed(name: str, fate: Fate, key: bytes | None) -> Case:
    """A good record under another key."""
    return Case(name, lambda c, i: (key, c.good(i)), fate)


def _evolved(
    name: str,
    fate: Fate,
    change: Callable[[dict[str, Any]], object],
    /,
    **values: Any,  # noqa: ANN401 -- any field
) -> Case:
    """A record written by another version of the contract."""

    def apply(fields: dict[str, Any]) -> None:
        change(fields)

    return Case(name, lambda c, i: (WS.encode(), c.evolved(i, apply, **values)), fate)


def _foreign(name: str, schema: Any, record: Any) -> Case:  # noqa: ANN401 -- any Avro
    """A record by a schema which has nothing to do with events."""

    def make(contracts: Contracts, _: str) -> tuple[bytes, bytes]:
        subject = f"{contracts.there.settings.kafka.prefix}{name.replace(' ', '-')}"
        return WS.encode(), contracts.there.written_by(schema, record, subject)

    return Case(name, make, Dead.UNDECODABLE)


def _properties(name: str, text: str, fate: Fate | dict[str, Any]) -> Case:
    """An event with these properties."""
    expected = Delivered({"properties": fate}) if isinstance(fate, dict) else fate
    return _event(f"properties: {name}", expected, properties=text)


def _with_text(value: bytes, old: bytes, new: bytes) -> bytes:
    assert old in value
    assert len(old) == len(new)
    return value.replace(old, new)


def _rename(fields: dict[str, Any], name: str, kind: Any) -> None:  # noqa: ANN401 -- any Avro type
    fields[name] = {"name": name, "type": kind}


NOISE = secrets.token_urlsafe(760_000)
"""1,013,334 characters that do not compress; the topic's largest record has 1,048,576 bytes."""

FRAMING = [
    _raw("a good record", Delivered({"event": "nudge_shown"}), lambda v: v),
    _raw("wrong magic byte", Dead.UNDECODABLE, lambda v: b"\x01" + v[1:]),
    _raw("JSON instead of Avro", Dead.UNDECODABLE, lambda _: b'{"event_id": "x"}'),
    _raw("null value", Dead.UNDECODABLE, lambda _: None),
    _raw("empty value", Dead.UNDECODABLE, lambda _: b""),
    _raw("four bytes", Dead.UNDECODABLE, lambda v: v[:4]),
    _raw("framing alone", Dead.UNDECODABLE, lambda v: v[:5]),
    _raw("truncated body", Dead.UNDECODABLE, lambda v: v[:-9]),
    _raw("trailing bytes", Dead.UNDECODABLE, lambda v: v + b"\x00"),
    _raw("length beyond the end", Dead.UNDECODABLE, lambda v: v[:5] + b"\xfe\xff\xff\xff\x0f"),
    _raw("negative length", Dead.UNDECODABLE, lambda v: v[:5] + b"\x01" + v[6:]),
    _raw(
        "not UTF-8",
        Dead.UNDECODABLE,
        lambda v: _with_text(v, b'"page.path"', b'"page.\xff\xfe\xfd\xfc"'),
    ),
    _raw("unknown schema id", Dead.UNKNOWN_SCHEMA, lambda v: frame(2_000_000_000, v[5:])),
    _raw("schema id 0", Dead.UNKNOWN_SCHEMA, lambda v: frame(0, v[5:])),
    _raw("schema id beyond an int", Dead.UNKNOWN_SCHEMA, lambda v: frame(2**32 - 1, v[5:])),
]
KEYS = [
    _keyed("key missing", Delivered(), None),
    _keyed("key not UTF-8", Dead.WORKSPACE_MISMATCH, b"\xff\xfe"),
    _keyed("key empty", Dead.WORKSPACE_MISMATCH, b""),
    _keyed("key of another workspace", Dead.WORKSPACE_MISMATCH, b"globex"),
    _event("event without workspace", Dead.WORKSPACE_MISSING, workspace=""),
]
EVOLUTION = [
    _evolved("field added", Delivered(), lambda f: _rename(f, "mood", "string"), mood="good"),
    _evolved(
        "fields removed that have defaults",
        Delivered({"properties": {}}),
        lambda f: [f.pop(name) for name in ("shape", "scrubbers", "properties", "session_id")],
    ),
    _evolved("field removed that has none", Dead.UNDECODABLE, lambda f: f.pop("timestamp")),
    _evolved(
        "int promoted to long",
        Delivered({"timestamp": "1970-01-24T03:33:20.000+00:00"}),
        lambda f: _rename(f, "timestamp", "int"),
        timestamp=2_000_000_000,
    ),
    _evolved(
        "user id always there",
        Delivered({"identity": "ann"}),
        lambda f: _rename(f, "user_id", "string"),
        user_id="ann",
    ),
    _evolved(
        "long made a string",
        Dead.UNDECODABLE,
        lambda f: _rename(f, "timestamp", "string"),
        timestamp="2026-01-01",
    ),
    _foreign(
        "wholly foreign record",
        {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]},
        {"id": 7},
    ),
    _foreign("a string as schema", "string", "hello"),
]
PROPERTIES = [
    _properties("empty text", "", {}),
    _properties("spaces", "  ", {}),
    _properties("empty object", "{}", {}),
    _properties("not JSON", "{'a': 1}", Dead.INVALID_PROPERTIES),
    _properties("cut JSON", '{"a": ', Dead.INVALID_PROPERTIES),
    _properties("null", "null", Dead.INVALID_PROPERTIES),
    _properties("a number", "7", Dead.INVALID_PROPERTIES),
    _properties("a text", '"text"', Dead.INVALID_PROPERTIES),
    _properties("an array", '[{"a": 1}]', Dead.INVALID_PROPERTIES),
    _properties("nested", '{"a": {"b": {"c": 1}}, "d": [1, "x"]}', {"a.b.c": 1, "d": "1||x"}),
    _properties("deep", '{"a":' * 90 + "1" + "}" * 90, {".".join("a" * 90): 1}),
    _properties("too deep", '{"a":' * 500 + "1" + "}" * 500, Dead.INVALID_PROPERTIES),
    _properties("bottomless arrays", "[" * 100_000, Dead.INVALID_PROPERTIES),
    _properties(
        "NaN and Infinity",
        '{"a": NaN, "b": Infinity, "c": -Infinity}',
        {"a": "NaN", "b": "Infinity", "c": "-Infinity"},
    ),
    _properties("a number past doubles", '{"a": 1e999}', {"a": "Infinity"}),
    _properties("escaped control characters", '{"a": "\\u0000\\u001f"}', {"a": "\x00\x1f"}),
    _properties("raw control characters", '{"a": "\x01"}', Dead.INVALID_PROPERTIES),
    _properties(
        "lone surrogates", '{"a": "x\\ud800y", "\\udc00": 1}', {"a": "x\ufffdy", "\ufffd": 1}
    ),
    _properties("a surrogate pair", '{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
    _properties("long value", json.dumps({"a": "x" * 5_000}), {"a": "x" * 1_023}),
    _properties("long key", json.dumps({"k" * 5_000: 1}), {"k" * 1_023: 1}),
    _properties("user properties", '{"a": 1, "end_user_properties": {"mail": "x"}}', {"a": 1}),
    _properties("huge text", json.dumps({"a": NOISE}), {"a": NOISE[:1_023]}),
    _properties(
        "a thousand texts",
        json.dumps({str(n): NOISE[1_000 * n : 1_000 * n + 1_000] for n in range(1_000)}),
        {str(n): NOISE[1_000 * n : 1_000 * n + 1_000] for n in range(1_000)},
    ),
    _properties("huge and no JSON", NOISE, Dead.INVALID_PROPERTIES),
    _properties("8 MiB that compress well", " " * 8_388_608 + "!", Dead.INVALID_PROPERTIES),
]
FIELDS = [
    _event("name of 1024", Delivered({"event": "n" * 1_024}), name="n" * 1_024),
    _event("name of 1025", Dead.NAME_TOO_LONG, name="n" * 1_025),
    _event("name with control characters", Delivered({"event": "a\x00\nb"}), name="a\x00\nb"),
    _event("name empty", Dead.NAME_MISSING, name=""),
    _event("event id empty", Dead.EVENT_ID_MISSING, event_id=""),
    _event("event id of 5000", Delivered(), event_id="i" * 5_000),
    _event("user id of 255", Delivered({"identity": "u" * 255}), user_id="u" * 255),
    _event("user id of 256", Dead.IDENTITY_TOO_LONG, user_id="u" * 256),
    _event("user id of 128 emoji", Dead.IDENTITY_TOO_LONG, user_id="\U0001f600" * 128),
    _event("user id absent", SkipReason.ANONYMOUS, user_id=None),
    _event("user id empty", SkipReason.ANONYMOUS, user_id=""),
    _event("user id null", SkipReason.ANONYMOUS, user_id="null"),
    _event("user id undefined", SkipReason.ANONYMOUS, user_id="undefined"),
    _event("user id with spaces", Delivered({"identity": " ann "}), user_id=" ann "),
    _event(
        "timestamp 0", Delivered({"timestamp": "1970-01-01T00:00:00.000+00:00"}), timestamp_ms=0
    ),
    _event(
        "year 1",
        Delivered({"timestamp": "0001-01-01T00:00:00.000+00:00"}),
        timestamp_ms=-62_135_596_800_000,
    ),
    _event("before year 1", Dead.INVALID_TIMESTAMP, timestamp_ms=-62_135_596_800_001),
    _event(
        "year 9999",
        Delivered({"timestamp": "9999-12-31T23:59:59.999+00:00"}),
        timestamp_ms=253_402_300_799_999,
    ),
    _event("after year 9999", Dead.INVALID_TIMESTAMP, timestamp_ms=253_402_300_800_000),
    _event("the last long", Dead.INVALID_TIMESTAMP, timestamp_ms=2**63 - 1),
    _event("the first long", Dead.INVALID_TIMESTAMP, timestamp_ms=-(2**63)),
    _event("preview", SkipReason.PREVIEW, is_preview=True),
    _event("simulated", SkipReason.SIMULATED, is_simulated=True),
    _event("admin", SkipReason.ADMIN, is_admin=True),
    _event("typing", SkipReason.NOT_SENT_BY_DEFAULT, name="cb:input"),
    Case(
        "huge, on hold",
        lambda c, i: (
            HELD.encode(),
            c.good(i, workspace=HELD, properties=json.dumps({"a": NOISE})),
        ),
        DeferReason.HOLD,
    ),
]
CASES = [*FRAMING, *KEYS, *EVOLUTION, *PROPERTIES, *FIELDS]


@dataclass
class Aftermath:
    """What the run left behind, by the cases' names."""

    there: Forwarding
    audit: Audit
    sent: dict[str, tuple[bytes | None, bytes | None]]
    in_heap: dict[str, dict[str, Any]]
    dead: dict[str, Message]
    deferred: dict[str, Message]


@pytest.fixture(scope="module")
def aftermath(world: World) -> Iterator[Aftermath]:
    """Run all cases once."""
    with running_simulator(SimulatorSettings(limits=UNLIMITED)) as heap:
        there = Forwarding(world, f"t{secrets.token_hex(4)}-", heap)
        there.connect(WS, "11")
        there.connect(HELD, "12", Send.HOLD)
        contracts = Contracts(there)
        sent = {case.name: case.make(contracts, f"id of {case.name}") for case in CASES}
        names = {str(o): n for n, o in zip(sent, there.publish_raw([*sent.values()]), strict=True)}
        there.catch_up(HEAPLINE_FORWARDER__UNKNOWN_SCHEMA_WAIT_SECONDS="1")
        audit = there.audit(["11", "12"])
        yield Aftermath(
            there,
            audit,
            sent,
            {_case_of(event): event for event in heap.events("11")},
            {names[_text(m, "origin")]: m for m in _all(there, topics.DLQ)},
            {names[_text(m, "origin")]: m for m in _all(there, topics.DEFERRED)},
        )


def _all(there: Forwarding, topic: topics.Topic) -> list[Message]:
    return read_all(there.settings, there.names.topic(topic))


def _text(message: Message, name: str) -> str:
    values = dict(headers_of(message))
    return (values[f"heapline-{name}"] or b"").decode()


def _case_of(event: Mapping[str, Any]) -> str:
    key: str = event["idempotency_key"]
    return "event id of 5000" if key == "i" * 5_000 else key.removeprefix("id of ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_record_ends_where_the_rules_say(aftermath: Aftermath, case: Case) -> None:
    """Delivered with the right content, in the DLQ with the right reason, deferred, or neither."""
    fate = case.fate
    assert (case.name in aftermath.in_heap) == isinstance(fate, Delivered)
    assert (case.name in aftermath.dead) == isinstance(fate, Dead)
    assert (case.name in aftermath.deferred) == isinstance(fate, DeferReason)
    if isinstance(fate, Delivered):
        event = aftermath.in_heap[case.name]
        assert {name: event[name] for name in fate.fields} == fate.fields
    elif isinstance(fate, Dead):
        _check_letter(aftermath, case, fate)
    elif isinstance(fate, DeferReason):
        moved = aftermath.deferred[case.name]
        assert (moved.key(), moved.value()) == aftermath.sent[case.name]
        assert _text(moved, "reason") == fate


def _check_letter(aftermath: Aftermath, case: Case, reason: Dead) -> None:
    message = aftermath.dead[case.name]
    assert (message.key(), message.value()) == aftermath.sent[case.name]
    assert FOREIGN_HEADER in headers_of(message)
    letter = DeadLetter.read(headers_of(message))
    assert letter.reason == reason
    assert letter.error
    assert letter.attempts == 0
    assert 0 < letter.first_failure_at_ms <= letter.last_failure_at_ms
    assert letter.source == "events"


def test_the_counts_are_exact(aftermath: Aftermath) -> None:
    """For each outcome and reason, the counts say how many cases were to end so."""
    expected: Counter[tuple[str, str, str | None]] = Counter()
    for case in CASES:
        if isinstance(case.fate, Delivered):
            expected["events", "delivered", None] += 1
        elif isinstance(case.fate, Dead):
            expected["events", "dead_lettered", case.fate.value] += 1
        elif isinstance(case.fate, SkipReason):
            expected["events", "skipped", case.fate.value] += 1
        else:
            expected["events", "deferred", case.fate.value] += 1
    assert aftermath.audit.counts == expected


def test_nothing_is_lost_or_doubled(aftermath: Aftermath) -> None:
    """The audit's own rules hold, and one bad record costs nobody a second request."""
    aftermath.audit.check()
    assert not aftermath.audit.waiting
    assert aftermath.audit.duplicates == 0
    assert all(request.status == 200 for request in aftermath.there.heap.requests())
