from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import RegistryUnavailable
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.connection_rows import Snapshot, Unreadable, read_row
from heapline.kafka.read_to_end import Ends
from heapline.kafka.schemas import schema_text
from heapline.words import AppId, Workspace
from tests.fakes.schema_source import FakeSchemas

ENCODER = Encoder("HeapConnection", 7)
CONNECTION = Connection(Workspace("acme"), version=3, app_id=AppId("11"), region=Region.EU)


@pytest.fixture
def decoder() -> Decoder:
    """Knows schema 7."""
    return Decoder("HeapConnection", FakeSchemas({7: schema_text("HeapConnection")}))


def written(connection: Connection) -> bytes:
    """Give a row's value."""
    return ENCODER.encode(connection.to_record())


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
connections = st.builds(
    Connection,
    workspace=texts.filter(bool).map(Workspace),
    version=st.integers(0, 2**40),
    updated_at_ms=st.integers(0, 2**60),
    app_id=st.none() | texts.map(AppId),
    region=st.none() | st.sampled_from(Region),
    send=st.sampled_from(Send),
    include=st.lists(texts).map(tuple),
    exclude=st.lists(texts).map(tuple),
    blocked_categories=st.frozensets(st.sampled_from(BlockedCategory)),
    send_anonymous=st.booleans(),
    id_token=st.none() | texts,
    partner_app_id=st.none() | texts,
    allowed_by=st.none() | texts,
    allowed_at_ms=st.none() | st.integers(0, 2**60),
)


@given(connections)
def test_every_connection_survives_the_topic(connection: Connection) -> None:
    """What is written as a row is read as the same connection."""
    decoder = Decoder("HeapConnection", FakeSchemas({7: schema_text("HeapConnection")}))
    row = read_row(connection.workspace.encode(), written(connection), decoder)
    assert row == (connection.workspace, connection)


def test_a_tombstone_is_a_row_without_connection(decoder: Decoder) -> None:
    """No value means removed."""
    assert read_row(b"acme", None, decoder) == ("acme", None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (b"", b""),
        (b"\xff\xfe", written(CONNECTION)),
        (b"acme", b""),
        (b"acme", b"\x01" + written(CONNECTION)[1:]),
        (b"acme", written(CONNECTION)[:-1]),
        (b"acme", written(CONNECTION) + b"x"),
        (b"globex", written(CONNECTION)),
        (b"acme", ENCODER.encode(CONNECTION.to_record() | {"send": "sometimes"})),
        (b"acme", ENCODER.encode(CONNECTION.to_record() | {"region": "mars"})),
        (b"acme", ENCODER.encode(CONNECTION.to_record() | {"blocked_categories": ["x"]})),
    ],
)
def test_what_is_no_row_is_unreadable(
    key: bytes | None, value: bytes | None, decoder: Decoder
) -> None:
    """Whatever stands in the topic, it is either a row or `Unreadable`."""
    with pytest.raises(Unreadable) as raised:
        read_row(key, value, decoder)
    assert not raised.value.unknown_schema


def test_an_unknown_schema_is_told_apart(decoder: Decoder) -> None:
    """It may be the registry that is the wrong one, not the row."""
    with pytest.raises(Unreadable) as raised:
        read_row(b"acme", Encoder("HeapConnection", 8).encode(CONNECTION.to_record()), decoder)
    assert raised.value.unknown_schema
    assert raised.value.workspace == "acme"


def test_an_unreadable_row_keeps_the_older_version() -> None:
    """The snapshot remembers why, until a readable version comes."""
    snapshot = Snapshot(Ends({}))
    snapshot.put(CONNECTION.workspace, CONNECTION)
    snapshot.put_aside(Unreadable(CONNECTION.workspace, "corrupt"))
    assert snapshot.rows == {"acme": CONNECTION}
    assert snapshot.unreadable == {"acme": "corrupt"}
    newer = dataclasses.replace(CONNECTION, version=4)
    snapshot.put(CONNECTION.workspace, newer)
    assert snapshot.rows == {"acme": newer}
    assert snapshot.unreadable == {}


def test_a_registry_that_knows_no_schema_at_all_is_doubted() -> None:
    """One readable row is enough to trust it; corrupt rows say nothing about it."""
    snapshot = Snapshot(Ends({}))
    snapshot.put_aside(Unreadable(Workspace("a"), "corrupt"))
    snapshot.check_registry()
    snapshot.put_aside(Unreadable(Workspace("b"), "no schema 9", unknown_schema=True))
    with pytest.raises(RegistryUnavailable, match="SCHEMA_REGISTRY__URL"):
        snapshot.check_registry()
    snapshot.put(CONNECTION.workspace, CONNECTION)
    snapshot.check_registry()
