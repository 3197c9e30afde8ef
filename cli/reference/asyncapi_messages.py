"""The messages of the AsyncAPI description: keys, headers and values of what stands in each topic.

Values come from the Avro contracts, enumerations from `heapline.outcomes`. What no contract says,
keys and headers, is told here; a test holds it against what the code writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from heapline.heap import membership_record
from heapline.kafka import headers as record_headers
from heapline.kafka import topics
from heapline.kafka.schemas import schema_text
from heapline.outcomes import DeadLetterReason, DeferReason, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.kafka.topics import Topic

KAFKA_BINDING: Final = "0.5.0"
_AVRO: Final = "application/vnd.apache.avro+json;version=1.9.0"
_JSON_SCHEMA: Final = "application/schema+json;version=draft-07"
_WORKSPACE_KEY: Final = {
    "type": "string",
    "description": "The workspace, as plain UTF-8: no framing, no quotes.",
    "examples": ["acme"],
}
_NUMBER: Final = {"type": "string", "pattern": "^-?[0-9]+$"}


@dataclass(frozen=True, slots=True)
class Header:
    """One header; every value is text in UTF-8.

    Attributes:
        name: without `heapline-`, as the code that writes it says it.
        meaning: for people.
        schema: in JSON Schema, without the meaning.
        required: whether it is always there.
    """

    name: str
    meaning: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = True


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of record of a topic.

    Attributes:
        name: of the message, in the description.
        topic: where it stands.
        summary: one line for people.
        key: in JSON Schema; parts of a canonical JSON array are told in words.
        value: the name of an Avro contract; None for a record without a value.
        headers: those of heapline; others are kept and mean nothing.
        json_value: in JSON Schema, where the value is JSON instead.
    """

    name: str
    topic: Topic
    summary: str
    key: dict[str, Any]
    value: str | None
    headers: tuple[Header, ...] = ()
    json_value: dict[str, Any] | None = None


def _array_key(*parts: str) -> dict[str, Any]:
    shown = "[" + ",".join(f'"{each}"' for each in parts) + "]"
    return {
        "type": "string",
        "description": f"The JSON array {shown} of texts in canonical form (RFC 8785), in UTF-8.",
    }


_ORIGIN: Final = Header("origin", "Where the record first stood: topic/partition/offset.")
_SOURCE: Final = Header(
    "source", "Where it was read.", {"type": "string", "enum": [*Source]}, required=False
)
_DEFERRED: Final = (
    _ORIGIN,
    _SOURCE,
    Header("first-deferred-at", "Milliseconds since 1970-01-01 UTC.", _NUMBER),
    Header("not-before", "Nobody looks at it before: milliseconds since 1970-01-01 UTC.", _NUMBER),
    Header("deferrals", "How often it was deferred, this time included.", _NUMBER),
    Header("reason", "Why.", {"type": "string", "enum": [*DeferReason]}, required=False),
)
_DEAD: Final = (
    _ORIGIN,
    Header("reason", "Why.", {"type": "string", "enum": [*DeadLetterReason]}),
    Header("workspace", "As far as known; else empty."),
    Header("event-id", "As far as known; else empty.", required=False),
    Header("error", "One line; no content of the record.", required=False),
    Header("status", "Heap's answer, where Heap refused it.", _NUMBER, required=False),
    Header("body-excerpt", "How that answer begins.", required=False),
    Header("attempts", "Requests that carried it.", _NUMBER, required=False),
    Header("first-failure-at", "Milliseconds since 1970-01-01 UTC.", _NUMBER, required=False),
    Header("last-failure-at", "Milliseconds since 1970-01-01 UTC.", _NUMBER, required=False),
    Header("schema-id", "Of the value's framing.", _NUMBER, required=False),
    _SOURCE,
)
_ENTER: Final = (
    Header(
        membership_record.PAGE_END.removeprefix(record_headers.PREFIX),
        "There, and empty, on the last record of a page.",
        {"type": "string", "maxLength": 0},
        required=False,
    ),
)
_LEAVE: Final = (
    Header(
        membership_record.AT.removeprefix(record_headers.PREFIX),
        "When the page was accepted that made the change: milliseconds since 1970-01-01 UTC.",
        _NUMBER,
        required=False,
    ),
    Header(
        membership_record.SYNC.removeprefix(record_headers.PREFIX),
        "The sync, as in HeapSegment.syncs.",
        required=False,
    ),
    *_ENTER,
)
_REPLAYED: Final = Header(
    record_headers.REPLAYED.removeprefix(record_headers.PREFIX),
    "The partition/offset of the dead letter that was sent again.",
)
_MEMBERSHIP_KEY: Final = _array_key("workspace", "user", "segment")

MESSAGES: Final = (
    MessageKind("event", topics.EVENTS, "Something happened.", _WORKSPACE_KEY, "CommandAIEvent"),
    MessageKind(
        "deferredEvent",
        topics.DEFERRED,
        "An event that waits: key and value as they were.",
        _WORKSPACE_KEY,
        "CommandAIEvent",
        _DEFERRED,
    ),
    MessageKind(
        "deadLetter",
        topics.DLQ,
        "A record that can never be delivered: key and value as they were, readable or not.",
        _WORKSPACE_KEY,
        "CommandAIEvent",
        _DEAD,
    ),
    MessageKind(
        "replayedMarker",
        topics.DLQ,
        "A dead letter was sent again.",
        {"type": "string", "description": "That of the dead letter."},
        None,
        (_REPLAYED,),
    ),
    MessageKind(
        "outcomeCounts",
        topics.OUTCOME_COUNTS,
        "What became of one workspace's records in one checkpoint.",
        _WORKSPACE_KEY,
        "OutcomeCounts",
    ),
    MessageKind(
        "connection",
        topics.CONNECTIONS,
        "How a workspace is connected, from now on.",
        _WORKSPACE_KEY,
        "HeapConnection",
    ),
    MessageKind(
        "connectionRemoved", topics.CONNECTIONS, "It is not any more.", _WORKSPACE_KEY, None
    ),
    MessageKind(
        "segmentSyncPage",
        topics.SEGMENT_PAGES,
        "One call of Heap's webhook, its signature verified.",
        _array_key("workspace", "segment"),
        "SegmentSyncPage",
    ),
    MessageKind(
        "userEntered",
        topics.MEMBERSHIPS,
        "The user is in the segment.",
        _MEMBERSHIP_KEY,
        "SegmentMembership",
        _ENTER,
    ),
    MessageKind(
        "userLeft",
        topics.MEMBERSHIPS,
        "The user is not in the segment any more.",
        _MEMBERSHIP_KEY,
        None,
        _LEAVE,
    ),
    MessageKind(
        "segment",
        topics.SEGMENTS,
        "What is known of a segment, in the transaction of the page it takes into account.",
        _array_key("workspace", "segment"),
        "HeapSegment",
    ),
    MessageKind(
        "forwarderStatus",
        topics.FORWARDER_STATUS,
        "How a forwarder is, every two seconds.",
        {"type": "string", "description": "The forwarder's HEAPLINE_INSTANCE_ID."},
        None,
        json_value={
            "type": "object",
            "description": "For `heapline status` of the same version; its fields may change.",
        },
    ),
    MessageKind(
        "forwarderEnded",
        topics.FORWARDER_STATUS,
        "A forwarder ended in good order.",
        {"type": "string", "description": "The forwarder's HEAPLINE_INSTANCE_ID."},
        None,
    ),
    MessageKind(
        "erasure",
        topics.ERASURES,
        "A user's data was erased.",
        _array_key("workspace", "user_mac"),
        "HeapErasure",
    ),
)


def messages_of(topic: Topic) -> Iterable[MessageKind]:
    """Give the kinds of records of a topic."""
    return (each for each in MESSAGES if each.topic is topic)


def described_message(kind: MessageKind) -> dict[str, Any]:
    """Give one message object."""
    bindings: dict[str, Any] = {"key": kind.key, "bindingVersion": KAFKA_BINDING}
    if kind.value is not None:
        bindings |= {
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "TopicNameStrategy",
        }
    described: dict[str, Any] = {
        "name": kind.name,
        "summary": kind.summary,
        "contentType": "application/json" if kind.value is None else "application/vnd.apache.avro",
        "payload": _payload(kind),
        "bindings": {"kafka": bindings},
    }
    if kind.headers:
        described["headers"] = _headers(kind.headers)
    return described


def _payload(kind: MessageKind) -> dict[str, Any]:
    if kind.value is not None:
        return {"schemaFormat": _AVRO, "schema": json.loads(schema_text(kind.value))}
    if kind.json_value is not None:
        return {"schemaFormat": _JSON_SCHEMA, "schema": kind.json_value}
    nothing = {"type": "null", "description": "A record without a value."}
    return {"schemaFormat": _JSON_SCHEMA, "schema": nothing}


def _headers(headers: Iterable[Header]) -> dict[str, Any]:
    named = {record_headers.PREFIX + each.name: each for each in headers}
    described: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: {**each.schema, "description": each.meaning} for name, each in named.items()
        },
    }
    required = [name for name, each in named.items() if each.required]
    return described | ({"required": required} if required else {})
