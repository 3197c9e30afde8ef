"""Every event Command AI publishes, against the catalogue and schemas kept beside the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heapline.events import Shape, to_event
from heapline.events.catalogue import (
    V1_ALIASES,
    V1_INTERNAL_NAMES,
    V1_INTERNAL_ONLY,
    V1_TYPES,
    V2_NAMES,
)
from heapline.events.shapes import V2_GROUPS
from heapline.kafka.codec import Encoder
from heapline.words import Workspace

CONTRACT = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "commandai_events"
pytestmark = pytest.mark.skipif(
    not CONTRACT.is_dir(),
    reason="Command AI's contracts are not beside the project (../shared/contracts)",
)
NOW_MS = 1_800_000_000_000
NOT_SENT = {
    "end_user_properties",
    "decide",
    "launch_code",
    "user_agent",
    "client_version",
}
"""Parts of a v2 envelope that carry personal data or nothing about the event."""


def contract(name: str) -> Any:  # noqa: ANN401 -- any JSON
    """Read one file; an empty object where the contracts are not there, for parametrization."""
    path = CONTRACT / f"derived__commandbar_{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def example(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    """Make a value with every field a schema names."""
    if "$ref" in schema:
        return example(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return example(schema["anyOf"][-1], definitions)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        named = schema.get("properties", {})
        return {key: example(value, definitions) for key, value in named.items()} or {"any": 1}
    if kind == "array":
        return [example(schema["items"], definitions)]
    return {"string": "text", "number": 1.5, "boolean": True, "null": None}[kind]


def names_in(definition: dict[str, Any]) -> list[str]:
    """Give the event names a schema of v1 event data is for."""
    kind = definition.get("properties", {}).get("type", {})
    return [kind["const"]] if "const" in kind else list(kind.get("enum", []))


V1_SCHEMA = contract("v1_event_data.schema")
V1_DEFINITIONS: dict[str, Any] = V1_SCHEMA.get("definitions", {})
V2_DEFINITIONS: dict[str, Any] = contract("v2_CBClientEvent.schema").get("definitions", {})
CATALOGUE: dict[str, Any] = contract("event_catalogue")
V1_CASES = [
    (name, key)
    for key, definition in V1_DEFINITIONS.items()
    if key.endswith("Event")
    for name in names_in(definition)
]
V2_CASES = CATALOGUE.get("v2_event_names", [])


def leaves(value: Any, path: str = "") -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """Give the dotted paths of an object, counted out anew."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        found |= leaves(item, here) if isinstance(item, dict) else {here: item}
    return found


def published(payload: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Make an event, see that Avro takes it, and give shape, name and properties."""
    event = to_event(payload, now_ms=NOW_MS, workspace=Workspace("acme"))
    assert Encoder("CommandAIEvent", 1).encode(event.to_record())
    assert event.workspace == "acme"
    assert event.user_id == "user-1"
    assert event.timestamp_ms == 1_772_357_400_125
    return event.shape, event.name, json.loads(event.properties)


def test_the_catalogue_is_the_published_one() -> None:
    """Ours names the same events, each where theirs does."""
    assert set(V1_TYPES) == {each["type"] for each in CATALOGUE["v1_external_event_types"]}
    assert set(V1_INTERNAL_NAMES) == set(CATALOGUE["v1_internal_event_names"])
    assert set(CATALOGUE["v1_internal_only"]) == V1_INTERNAL_ONLY
    assert list(V2_NAMES) == CATALOGUE["v2_event_names"]
    assert set(V1_ALIASES.values()) <= set(V1_TYPES)


def test_internal_names_mean_what_their_types_mean() -> None:
    """The pairing of internal names and types, as far as theirs infers it, is ours."""
    for each in CATALOGUE["v1_external_event_types"]:
        internal = each["internal_name_inferred"]
        assert V1_INTERNAL_NAMES[internal] == V1_TYPES[each["type"]]


def test_every_group_of_the_envelope_is_decided_upon() -> None:
    """A part of the v2 schema is a group of properties, a field of the event, or left out."""
    parts = set(V2_DEFINITIONS["CBClientEvent"]["properties"])
    fields = {
        "version",
        "name",
        "is_admin",
        "is_simulated",
        "organization_key",
        "distinct_id",
        "anon_distinct_id",
        "timestamp",
        "sent_at",
        "scrubbers",
        "properties",
    }
    assert parts == fields | set(V2_GROUPS) | NOT_SENT


@pytest.mark.parametrize("name", V2_CASES)
def test_every_v2_event(name: str) -> None:
    """A full envelope of each name becomes an event with all groups under their names."""
    full = example(V2_DEFINITIONS["CBClientEvent"], V2_DEFINITIONS)
    envelope = full | {
        "name": name,
        "organization_key": "acme",
        "distinct_id": "user-1",
        "timestamp": "2026-03-01T09:30:00.125Z",
        "properties": {"of": {"its": "own"}},
        "is_admin": False,
        "is_simulated": False,
    }
    groups = {group: envelope[group] for group in V2_GROUPS}
    expected = leaves(groups) | {"of.its": "own"}
    assert published(envelope) == (Shape.V2, name, expected)


@pytest.mark.parametrize(("name", "definition"), V1_CASES)
@pytest.mark.parametrize("shape", [Shape.V1, Shape.CALLBACK])
def test_every_v1_event(shape: Shape, name: str, definition: str) -> None:
    """Data with all fields of each type becomes an event in both shapes it can come in."""
    data = example(V1_DEFINITIONS[definition], V1_DEFINITIONS) | {"type": name}
    if "status" in data:
        data["status"] = {"is_preview": False, "is_live": True}
    if shape is Shape.V1:
        payload = {
            "context": {"meta": {"secret": 1}, "userAgent": "x"},
            "type": "t",
            "attrs": data,
            "id": "user-1",
            "clientEventTimestamp": 1_772_357_400_125,
        }
    else:
        payload = {
            "name": name,
            "data": data,
            "user_id": "user-1",
            "timestamp": "2026-03-01T09:30:00.125Z",
        }
    assert published(payload) == (shape, name, leaves(data))


@pytest.mark.parametrize("name", [*V1_TYPES, *V1_INTERNAL_NAMES])
def test_every_v1_name(name: str) -> None:
    """Types without a published schema, and the SDK's own names, are events too."""
    payload = {
        "type": "t",
        "name": name,
        "attrs": {"n": 1},
        "id": "user-1",
        "clientEventTimestamp": 1_772_357_400_125,
    }
    assert published(payload) == (Shape.V1, name, {"n": 1})
