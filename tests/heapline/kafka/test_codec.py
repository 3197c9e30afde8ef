"""Avro values in Confluent's framing, with schemas that changed since."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import RegistryUnavailable, Undeliverable, UnknownSchema
from heapline.events.model import Event
from heapline.kafka.codec import FRAMING_BYTES, Decoder, Encoder, frame, schema_id_of
from heapline.kafka.schemas import parse, schema_text
from heapline.outcomes import DeadLetterReason
from tests.fakes.schema_source import FakeSchemas

CONTRACT = "CommandAIEvent"
CURRENT, EVOLVED = 7, 8
RECORD: dict[str, Any] = {
    "event_id": "e-1",
    "workspace": "acme",
    "name": "nudge_clicked",
    "user_id": "u-1",
    "anonymous_id": None,
    "session_id": "s-1",
    "timestamp": 1_489_184_516_789,
    "received_at": 1_489_184_517_000,
    "shape": "v2",
    "is_admin": True,
    "is_simulated": False,
    "is_preview": True,
    "scrubbers": ["emails", "ünïcode"],
    "properties": '{"a": 1}',
}
FRAMED = Encoder(CONTRACT, CURRENT).encode(RECORD)


def contract() -> dict[str, Any]:
    """The contract as JSON, to be changed at will."""
    document: dict[str, Any] = json.loads(schema_text(CONTRACT))
    return document


def decoder(evolved: dict[str, Any] | None = None) -> Decoder:
    """A decoder that knows the contract and perhaps another version of it."""
    texts = {CURRENT: schema_text(CONTRACT)}
    return Decoder(CONTRACT, FakeSchemas(texts | {EVOLVED: json.dumps(evolved)}))


def written_with(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    """Frame a record that was written with another version."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parse(json.dumps(schema)), record)
    return frame(EVOLVED, out.getvalue())


def undecodable(value: bytes | None) -> str:
    """Decode what cannot be decoded and give the message."""
    with pytest.raises(Undeliverable) as caught:
        decoder().decode(value)
    assert caught.value.reason == DeadLetterReason.UNDECODABLE
    return str(caught.value)


longs = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
records = st.fixed_dictionaries(
    {
        "event_id": texts,
        "workspace": texts,
        "name": texts,
        "user_id": st.none() | texts,
        "anonymous_id": st.none() | texts,
        "session_id": st.none() | texts,
        "timestamp": longs,
        "received_at": longs,
        "shape": texts,
        "is_admin": st.booleans(),
        "is_simulated": st.booleans(),
        "is_preview": st.booleans(),
        "scrubbers": st.lists(texts, max_size=3),
        "properties": texts,
    }
)


@given(records, st.integers(0, 2**32 - 1))
def test_every_record_survives_the_round_trip(record: dict[str, Any], schema_id: int) -> None:
    """All longs, all of Unicode, nulls, and every schema id four bytes can say."""
    value = Encoder(CONTRACT, schema_id).encode(record)
    assert schema_id_of(value) == schema_id
    decoded = Decoder(CONTRACT, FakeSchemas({schema_id: schema_text(CONTRACT)})).decode(value)
    assert decoded == record
    assert Event.from_record(decoded).to_record() == record


def test_the_framing_is_confluents() -> None:
    """A zero byte and the id in four bytes, the highest first."""
    assert FRAMED[:FRAMING_BYTES] == b"\x00\x00\x00\x00\x07"
    assert frame(0x01020304, b"body") == b"\x00\x01\x02\x03\x04body"


def test_the_encoder_fills_in_defaults() -> None:
    """Fields with a default may be left out, as any Avro writer would allow."""
    needed = ("event_id", "workspace", "name", "timestamp", "received_at")
    decoded = decoder().decode(
        Encoder(CONTRACT, CURRENT).encode({name: RECORD[name] for name in needed})
    )
    assert decoded["properties"] == ""
    assert (decoded["user_id"], decoded["scrubbers"], decoded["is_admin"]) == (None, [], False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_id": None},
        {"event_id": 5},
        {"event_id": "\ud800"},
        {"user_id": 5},
        {"timestamp": None},
        {"timestamp": "now"},
        {"timestamp": 2**63},
        {"scrubbers": None},
        {"scrubbers": [1]},
    ],
)
def test_what_does_not_fit_the_contract_is_a_value_error(wrong: dict[str, Any]) -> None:
    """One kind of error, whatever fastavro makes of it."""
    with pytest.raises(ValueError, match=r".+"):
        Encoder(CONTRACT, CURRENT).encode(RECORD | wrong)


def test_a_missing_field_without_default_is_a_value_error() -> None:
    """The contract names what is needed."""
    with pytest.raises(ValueError, match="event_id"):
        Encoder(CONTRACT, CURRENT).encode({k: v for k, v in RECORD.items() if k != "event_id"})


@pytest.mark.parametrize("value", [None, b"", b"\x00", FRAMED[:4]])
def test_values_shorter_than_the_framing_are_undecodable(value: bytes | None) -> None:
    """Tombstones and stubs."""
    assert "framing" in undecodable(value)


@pytest.mark.parametrize("magic", [1, 0x7B, 0x80, 0xFF])
def test_another_magic_byte_is_undecodable(magic: int) -> None:
    """Plain JSON in the topic, for one, and the message says which byte it was."""
    assert f"{magic:#04x}" in undecodable(bytes([magic]) + FRAMED[1:])


def test_a_value_truncated_anywhere_is_undecodable() -> None:
    """At every length but the whole."""
    for length in range(len(FRAMED)):
        undecodable(FRAMED[:length])
    assert decoder().decode(FRAMED) == RECORD


@pytest.mark.parametrize("more", [b"\x00", b"{}", FRAMED])
def test_bytes_after_the_record_are_undecodable(more: bytes) -> None:
    """A value that says more than its schema was written with another one."""
    assert f"{len(more)} bytes after" in undecodable(FRAMED + more)


def test_text_that_is_not_utf8_is_undecodable_and_not_quoted() -> None:
    """Messages stand in headers and logs, so they hold no content."""
    broken = FRAMED.replace("ünïcode".encode(), "ünïcode".encode("latin-1") + b"\xff\xff")
    assert broken != FRAMED
    message = undecodable(broken)
    assert "UnicodeDecodeError" in message
    assert "code" not in message.replace("UnicodeDecodeError", "")


@given(st.binary(max_size=120))
def test_any_body_is_a_record_or_undecodable(body: bytes) -> None:
    """No bytes do anything else, however large the lengths they claim."""
    try:
        decoded = decoder().decode(frame(CURRENT, body))
    except Undeliverable as error:
        decoded = {"reason": error.reason}
    assert decoded.get("reason", "undecodable") == DeadLetterReason.UNDECODABLE


@given(st.data())
def test_a_record_with_some_bytes_changed_is_a_record_or_undecodable(data: st.DataObject) -> None:
    """Corruption never gets further than one record."""
    value = bytearray(FRAMED)
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(FRAMING_BYTES, len(value) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        fields, message = set(decoder().decode(bytes(value))), ""
    except Undeliverable as error:
        fields, message = set(RECORD), str(error)
    assert fields == set(RECORD)
    assert RECORD["event_id"] not in message


def test_a_field_the_contract_does_not_know_is_dropped() -> None:
    """A newer publisher may write more."""
    newer = contract()
    newer["fields"].insert(2, {"name": "device", "type": ["null", "string"], "default": None})
    value = written_with(newer, RECORD | {"device": "phone"})
    assert decoder(newer).decode(value) == RECORD


def test_a_field_the_writer_did_not_know_gets_the_contracts_default() -> None:
    """An older publisher wrote less."""
    older = contract()
    older["fields"] = [
        f for f in older["fields"] if f["name"] not in {"scrubbers", "session_id", "properties"}
    ]
    decoded = decoder(older).decode(written_with(older, RECORD))
    assert decoded == RECORD | {"scrubbers": [], "session_id": None, "properties": ""}


def test_a_missing_field_without_default_makes_the_record_undecodable() -> None:
    """What the contract cannot do without cannot be made up; the message names the trouble."""
    older = contract()
    older["fields"] = [f for f in older["fields"] if f["name"] != "event_id"]
    with pytest.raises(Undeliverable, match="SchemaResolutionError") as caught:
        decoder(older).decode(written_with(older, RECORD))
    assert caught.value.reason == DeadLetterReason.UNDECODABLE


@pytest.mark.parametrize(
    ("name", "before", "written", "read"),
    [
        ("timestamp", "int", 123_456, 123_456),
        ("timestamp", "long", 123_456, 123_456),
        ("timestamp", {"type": "int"}, -1, -1),
        ("properties", "bytes", b'{"\xc3\xa9": 1}', '{"é": 1}'),
        ("user_id", "string", "u", "u"),
        ("user_id", ["string", "null"], None, None),
        ("user_id", "null", None, None),
    ],
)
def test_promotions_apply(name: str, before: object, written: object, read: object) -> None:
    """Avro's promotions, int to long first of all, and unions narrower or turned round."""
    older = contract()
    field = next(f for f in older["fields"] if f["name"] == name)
    field["type"] = before
    field.pop("default", None)
    decoded = decoder(older).decode(written_with(older, RECORD | {name: written}))
    assert decoded == RECORD | {name: read}


def test_a_demoted_field_makes_the_record_undecodable() -> None:
    """A string where the contract wants a long is no promotion."""
    other = contract()
    next(f for f in other["fields"] if f["name"] == "timestamp")["type"] = "string"
    with pytest.raises(Undeliverable, match="does not fit"):
        decoder(other).decode(written_with(other, RECORD | {"timestamp": "now"}))


def test_a_nanosecond_far_in_the_future_is_just_a_number() -> None:
    """Times are plain integers: no datetime is made that could overflow."""
    value = Encoder(CONTRACT, CURRENT).encode(RECORD | {"timestamp": 2**63 - 1})
    assert decoder().decode(value)["timestamp"] == 2**63 - 1


@pytest.mark.parametrize(
    "schema", ['"string"', '"bytes"', "[]", '{"type": "array", "items": "int"}']
)
def test_a_schema_that_is_no_record_makes_the_record_undecodable(schema: str) -> None:
    """The registry may hold anything under an id."""
    with pytest.raises(Undeliverable) as caught:
        Decoder(CONTRACT, FakeSchemas({1: schema})).decode(frame(1, b"\x02a"))
    assert caught.value.reason == DeadLetterReason.UNDECODABLE


@pytest.mark.parametrize("text", ["", "{", "{}", '{"type": "record"}', "5", "[" * 5000])
def test_a_schema_that_is_none_makes_the_record_undecodable(text: str) -> None:
    """Protobuf or JSON Schema, for example: asking again would not help."""
    with pytest.raises(Undeliverable) as caught:
        Decoder(CONTRACT, FakeSchemas({1: text})).decode(frame(1, b""))
    assert caught.value.reason == DeadLetterReason.UNDECODABLE


def test_an_unknown_id_is_asked_for_every_time_until_it_is_known() -> None:
    """A schema may be registered a moment after the first record was written."""
    schemas = FakeSchemas()
    reader = Decoder(CONTRACT, schemas)
    for _ in range(2):
        with pytest.raises(UnknownSchema) as caught:
            reader.decode(FRAMED)
        assert caught.value.schema_id == CURRENT
        assert caught.value.reason == DeadLetterReason.UNKNOWN_SCHEMA
    assert not reader.knows(CURRENT)
    schemas.texts[CURRENT] = schema_text(CONTRACT)
    assert reader.decode(FRAMED) == RECORD
    assert reader.decode(FRAMED) == RECORD
    assert schemas.asked == [CURRENT] * 3
    assert reader.knows(CURRENT)
    assert reader.known_ids() == (CURRENT,)


def test_a_registry_that_is_down_is_waited_for() -> None:
    """Not knowing is not the same as there being none; what was learnt before goes on."""
    schemas = FakeSchemas({CURRENT: schema_text(CONTRACT)}, down=True)
    reader = Decoder(CONTRACT, schemas)
    with pytest.raises(RegistryUnavailable):
        reader.decode(FRAMED)
    schemas.down = False
    assert reader.decode(FRAMED) == RECORD
    schemas.down = True
    assert reader.decode(FRAMED) == RECORD
    with pytest.raises(RegistryUnavailable):
        reader.decode(frame(99, FRAMED[FRAMING_BYTES:]))


def test_broken_framing_asks_the_registry_nothing() -> None:
    """A topic full of garbage must not become a flood of questions."""
    schemas = FakeSchemas(down=True)
    for value in (None, b"", b"{}", b"\x01" + FRAMED[1:]):
        with pytest.raises(Undeliverable):
            Decoder(CONTRACT, schemas).decode(value)
    assert schemas.asked == []


def test_versions_live_side_by_side() -> None:
    """Records of several schema ids in any order."""
    newer = contract()
    newer["fields"].append({"name": "device", "type": "string", "default": ""})
    reader = decoder(newer)
    value = written_with(newer, RECORD | {"device": "phone"})
    for framed in (FRAMED, value, value, FRAMED):
        assert reader.decode(framed) == RECORD
    assert struct.unpack_from(">I", value, 1) == (EVOLVED,)
    assert set(reader.known_ids()) == {CURRENT, EVOLVED}
