"""The AsyncAPI description is well-formed, and says what the code does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import fastavro
import jsonschema_rs
import pytest

from cli.reference.asyncapi import asyncapi, channel_id
from cli.reference.asyncapi_messages import MESSAGES
from cli.reference.asyncapi_roles import ROLES
from heapline.heap.membership_record import PAGE_ENDS, leave_headers
from heapline.kafka.headers import REPLAYED, DeadLetter, Deferral, Origin
from heapline.kafka.topics import TOPICS
from heapline.outcomes import DeadLetterReason, DeferReason, Source
from tests.command import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.kafka.headers import Headers

DESCRIBED: Final = asyncapi()
_REFERENCE: Final = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
    "additionalProperties": False,
}
_SHAPE: Final = {
    "type": "object",
    "required": ["asyncapi", "info", "servers", "channels", "operations", "components"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"license": {"type": "object", "required": ["name"]}},
        },
        "servers": {
            "type": "object",
            "additionalProperties": {"type": "object", "required": ["host", "protocol"]},
        },
        "channels": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9]+$"},
            "additionalProperties": {
                "type": "object",
                "required": ["address", "messages"],
                "additionalProperties": False,
                "properties": {
                    "address": {"type": "string"},
                    "summary": {"type": "string"},
                    "parameters": {"type": "object"},
                    "messages": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": _REFERENCE,
                    },
                    "bindings": {
                        "type": "object",
                        "required": ["kafka"],
                        "properties": {
                            "kafka": {
                                "additionalProperties": False,
                                "properties": {
                                    "partitions": {"type": "integer", "minimum": 1},
                                    "topicConfiguration": {
                                        "type": "object",
                                        "required": ["cleanup.policy"],
                                        "properties": {
                                            "cleanup.policy": {
                                                "type": "array",
                                                "items": {"enum": ["compact", "delete"]},
                                            }
                                        },
                                    },
                                    "bindingVersion": {"const": "0.5.0"},
                                },
                            }
                        },
                    },
                },
            },
        },
        "operations": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9]+$"},
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "properties": {"action": {"enum": ["send", "receive"]}, "channel": _REFERENCE},
                "patternProperties": {"^x-": {}},
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "messages": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["name", "payload", "contentType"],
                        "properties": {
                            "payload": {
                                "type": "object",
                                "required": ["schemaFormat", "schema"],
                                "additionalProperties": False,
                                "properties": {"schemaFormat": {"type": "string"}, "schema": {}},
                            },
                            "headers": {
                                "type": "object",
                                "required": ["type", "properties"],
                                "properties": {"type": {"const": "object"}},
                            },
                        },
                    },
                }
            },
        },
    },
}
"""What of AsyncAPI's own schema (3.0.0, with Kafka's bindings 0.5.0) concerns this description."""
_ORIGIN: Final = Origin("commandai.events", 3, 42)
_DEFERRAL: Final = Deferral(_ORIGIN, Source.REPLAY, 1, 2, 3, DeferReason.HOLD)
_LETTER: Final = DeadLetter(
    _ORIGIN, DeadLetterReason.EXPIRED, "acme", status=400, body_excerpt="no", schema_id=7
)
_WRITTEN: Final = {
    "deferredEvent": _DEFERRAL.headers(),
    "deadLetter": _LETTER.headers(),
    "replayedMarker": [(REPLAYED, b"3/15")],
    "userEntered": [*PAGE_ENDS],
    "userLeft": [*leave_headers(1_769_851_800_000, "sync-1"), *PAGE_ENDS],
}


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 -- any JSON
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


def _at(reference: str) -> Any:  # noqa: ANN401 -- any JSON
    found: Any = DESCRIBED
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_it_is_well_formed() -> None:
    """Field by field as AsyncAPI 3.0 wants them, as far as they are used."""
    problems = [
        f"{error.instance_path}: {error.message}"
        for error in jsonschema_rs.validator_for(_SHAPE).iter_errors(DESCRIBED)
    ]
    assert not problems


def test_every_reference_leads_somewhere() -> None:
    """And no message stands alone."""
    references = set(_references(DESCRIBED))
    assert all(_at(each) for each in references)
    messages = {f"#/components/messages/{name}" for name in DESCRIBED["components"]["messages"]}
    assert messages == {each for each in references if "/messages/" in each}
    operations = DESCRIBED["operations"].values()
    assert {each["channel"]["$ref"] for each in operations} == {
        f"#/channels/{name}" for name in DESCRIBED["channels"]
    }


def test_every_topic_is_a_channel() -> None:
    """With the settings that `topics apply` gives it, as numbers where they are numbers."""
    assert len(DESCRIBED["channels"]) == len(TOPICS)
    for topic in TOPICS:
        channel = DESCRIBED["channels"][channel_id(topic)]
        assert channel["address"] == "{prefix}" + topic.name
        told = channel["bindings"]["kafka"]["topicConfiguration"]
        assert set(told) == set(topic.config)
        assert told["cleanup.policy"] == topic.config["cleanup.policy"].split(",")
        assert all(told[n] == int(v) for n, v in topic.config.items() if n != "cleanup.policy")


def test_schemas_are_avro_that_others_can_read() -> None:
    """Each contract of the catalogue of topics is there, whole."""
    values = {each.value for each in MESSAGES} - {None}
    assert values == {topic.schema for topic in TOPICS} - {None}
    for message in DESCRIBED["components"]["messages"].values():
        if "avro" in message["payload"]["schemaFormat"]:
            fastavro.parse_schema(message["payload"]["schema"])


@pytest.mark.parametrize("name", [each.name for each in MESSAGES])
def test_headers_are_those_that_are_written(name: str) -> None:
    """Each that the code writes is described, no other is, and what is written fits."""
    written: Headers = _WRITTEN.get(name, [])
    described = DESCRIBED["components"]["messages"][name].get("headers", {"properties": {}})
    assert set(described["properties"]) == {key for key, _ in written}
    headers = {key: value.decode() for key, value in written}
    assert jsonschema_rs.validator_for(described).is_valid(headers)


def test_fewest_headers_are_those_required() -> None:
    """What a reader cannot do without."""
    for name, fewest in (
        ("deferredEvent", {"origin", "first-deferred-at", "not-before", "deferrals"}),
        ("deadLetter", {"origin", "reason", "workspace"}),
    ):
        described = DESCRIBED["components"]["messages"][name]["headers"]
        assert set(described["required"]) == {f"heapline-{each}" for each in fewest}
        kept = [(key, value) for key, value in _WRITTEN[name] if key in described["required"]]
        (Deferral if name == "deferredEvent" else DeadLetter).read(kept)
        for left_out in kept:
            with pytest.raises(ValueError, match="missing"):
                (Deferral if name == "deferredEvent" else DeadLetter).read(
                    [each for each in kept if each != left_out]
                )


def test_roles_need_the_acls_of_the_security_page() -> None:
    """What a role reads and writes here is what an operator is told to allow."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    told = {}
    for line in page.split("### ACLs for each role")[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`([^`]+)`( \([a-zA-Z ]+\))?", cells[0]):
            told["".join(name)] = [set(re.findall(r"`P([^`]+)`", cell)) for cell in cells[1:3]]
    for role in ROLES:
        described = [{each.name for each in side} for side in (role.reads, role.writes)]
        assert told[role.name] == described, role.name


def test_it_is_json() -> None:
    """Nothing in it but what JSON can say."""
    assert json.loads(json.dumps(DESCRIBED)) == DESCRIBED
