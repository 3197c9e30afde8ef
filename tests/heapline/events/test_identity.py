"""Event ids: derived alike everywhere, fresh where nothing can be derived."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from heapline.events.identity import LONGEST_OWN_ID, NAMESPACE, derived_id, fresh_id, own_id
from heapline.events.properties import canonical_json, flatten
from heapline.words import UserId, Workspace

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "vectors.json").read_text(encoding="utf-8")
)
text = st.text()
maybe_text = st.none() | text


def id_of(fields: dict[str, Any]) -> str:
    """Derive the id of one vector."""
    return derived_id(
        workspace=fields["workspace"],
        name=fields["name"],
        user_id=fields["user_id"],
        anonymous_id=fields["anonymous_id"],
        session_id=fields["session_id"],
        timestamp_ms=fields["timestamp"],
        properties=canonical_json(flatten(fields["properties"])),
    )


@pytest.mark.parametrize("vector", VECTORS["events"], ids=lambda vector: vector["title"])
def test_vectors(vector: dict[str, Any]) -> None:
    """Each vector's fields give its id, and so does the standard library from its text."""
    assert id_of(vector["fields"]) == vector["event_id"]
    assert str(uuid.uuid5(NAMESPACE, vector["hashed_text"])) == vector["event_id"]


def test_namespace() -> None:
    """The namespace is what it says it is made of, and stands in the vectors."""
    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:heapline:event-id") == NAMESPACE
    assert VECTORS["namespace"] == str(NAMESPACE)


@given(text, text, maybe_text, maybe_text, maybe_text, st.integers(-(2**47), 2**47))
def test_the_formula(
    workspace: str,
    name: str,
    user: str | None,
    anonymous: str | None,
    session: str | None,
    timestamp_ms: int,
) -> None:
    """The id is the UUIDv5 of the canonical JSON array, as two other packages make it."""
    properties = {"b": 1, "a": "\x07é"}
    array: Any = [workspace, name, user, anonymous, session, timestamp_ms, properties]
    derived = derived_id(
        workspace=Workspace(workspace),
        name=name,
        user_id=None if user is None else UserId(user),
        anonymous_id=anonymous,
        session_id=session,
        timestamp_ms=timestamp_ms,
        properties=canonical_json(properties),
    )
    assert derived == str(uuid.uuid5(NAMESPACE, rfc8785.dumps(array).decode()))


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "other"},
        {"name": "other"},
        {"user_id": "other"},
        {"user_id": None},
        {"anonymous_id": "other"},
        {"session_id": "other"},
        {"timestamp": 1772357400126},
        {"properties": {"type": "nudge_shown"}},
    ],
)
def test_every_part_counts(change: dict[str, Any]) -> None:
    """Events that differ in one part have different ids."""
    fields = VECTORS["events"][0]["fields"]
    assert id_of(fields | change) != id_of(fields)


def test_parts_do_not_run_together() -> None:
    """The same letters divided otherwise are another event."""
    fields = VECTORS["events"][0]["fields"]
    one = id_of(fields | {"workspace": "ab", "name": "c"})
    assert one != id_of(fields | {"workspace": "a", "name": "bc"})


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_fresh_ids_are_uuid_7(now_ms: int, drawn: bytes) -> None:
    """A fresh id has RFC 9562's version and variant, its time first, and all 74 random bits."""
    made = uuid.UUID(fresh_id(now_ms, lambda _: drawn))
    assert made.variant == uuid.RFC_4122
    assert made.version == 7
    assert made.int >> 80 == now_ms
    random_bits = (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1
    drawn_bits = int.from_bytes(drawn, "big")
    assert random_bits == (drawn_bits >> 68) << 62 | drawn_bits & (1 << 62) - 1


def test_fresh_ids_differ_and_sort_by_time() -> None:
    """Two events of one millisecond are two; a later one sorts after."""
    ids = {fresh_id(1_772_357_400_125) for _ in range(1000)}
    assert len(ids) == 1000
    assert max(ids) < fresh_id(1_772_357_400_126)


def test_own_ids_are_kept() -> None:
    """A source's own id is the id, up to the longest that Heap surely keeps whole."""
    longest = "x" * LONGEST_OWN_ID
    assert own_id(Workspace("acme"), longest) == longest
    assert own_id(Workspace("acme"), "7") == "7"


def test_own_ids_too_long_are_hashed() -> None:
    """A longer one becomes a UUIDv5 that is the same each time and differs by workspace."""
    long = "x" * (LONGEST_OWN_ID + 1)
    hashed = own_id(Workspace("acme"), long)
    assert hashed == str(uuid.uuid5(NAMESPACE, f'["acme","{long}"]'))
    assert own_id(Workspace("other"), long) != hashed
