"""The catalogue of topics: names, keys' meaning, cleanup, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000
EVENT_BYTES: Final = 1024 * 1024
"""Largest record of `commandai.events`."""
HEADROOM_BYTES: Final = 64 * 1024
"""What the deferred topic and the DLQ allow on top: the same bytes with more headers must fit,
else a checkpoint could never commit."""
PAGE_BYTES: Final = 20 * 1024 * 1024
"""Largest record of `heap.segment-sync-pages`: the largest webhook body (16 MiB) with room, since
ids written as numbers or escapes may grow."""
SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""Largest record of `heap.segments`: 32 syncs of 10,000 pages each, with room."""
DEFAULT_PARTITIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, without prefix.

    Attributes:
        name: as in the plan, before any prefix.
        partitions: a fixed count, or None for the count chosen at `topics apply`.
        config: the topic-level settings heapline relies on.
        schema: the name of the value's Avro record, or None where the bytes come from elsewhere.
        purpose: one line for people.
    """

    name: str
    partitions: int | None
    config: dict[str, str]
    schema: str | None
    purpose: str


def _deleted_after(days: int, largest_bytes: int = EVENT_BYTES) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        "max.message.bytes": str(largest_bytes),
    }


def _compacted(**more: str) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "max.compaction.lag.ms": str(DAY_MS),
        "segment.ms": str(DAY_MS),
        "delete.retention.ms": str(7 * DAY_MS),
    } | {name.replace("_", "."): value for name, value in more.items()}


EVENTS: Final = Topic(
    "commandai.events",
    None,
    _deleted_after(7),
    "CommandAIEvent",
    "what happened in Command AI",
)
DEFERRED: Final = Topic(
    "commandai.events.deferred",
    None,
    _deleted_after(7, EVENT_BYTES + HEADROOM_BYTES),
    None,
    "records that wait for a workspace whose Heap is paused or over its limits",
)
DLQ: Final = Topic(
    "commandai.events.dlq",
    None,
    _deleted_after(30, EVENT_BYTES + HEADROOM_BYTES),
    None,
    "records that can never be delivered, with the reason in headers",
)
OUTCOME_COUNTS: Final = Topic(
    "commandai.outcome-counts",
    None,
    _deleted_after(30),
    "OutcomeCounts",
    "what became of the records, exactly counted",
)
CONNECTIONS: Final = Topic(
    "heap.connections",
    1,
    _compacted(),
    "HeapConnection",
    "which workspace belongs to which Heap environment",
)
SEGMENT_PAGES: Final = Topic(
    "heap.segment-sync-pages",
    None,
    _deleted_after(30, PAGE_BYTES),
    "SegmentSyncPage",
    "every page of a segment sync that Heap's webhook delivered",
)
MEMBERSHIPS: Final = Topic(
    "heap.segment-memberships",
    None,
    _compacted(),
    "SegmentMembership",
    "who is in which segment; a workspace's records lie in one partition",
)
SEGMENTS: Final = Topic(
    "heap.segments",
    None,
    _compacted(max_message_bytes=str(SEGMENT_BYTES)),
    "HeapSegment",
    "each segment's name, recent syncs and freshness",
)
FORWARDER_STATUS: Final = Topic(
    "heapline.forwarder-status",
    1,
    _compacted(),
    None,
    "how each running forwarder is, for `heapline status`",
)
ERASURES: Final = Topic(
    "heap.erasures",
    1,
    _compacted(),
    "HeapErasure",
    "users whose data was erased, by an HMAC; every role drops what was accepted before",
)

TOPICS: Final = (
    EVENTS,
    DEFERRED,
    DLQ,
    OUTCOME_COUNTS,
    CONNECTIONS,
    SEGMENT_PAGES,
    MEMBERSHIPS,
    SEGMENTS,
    FORWARDER_STATUS,
    ERASURES,
)
FORWARDER_GROUP: Final = "heapline.forwarder"
"""Consumer group of the forwarders, without prefix."""
SEGMENT_SYNC_GROUP: Final = "heapline.segment-sync"
"""Consumer group of those who apply segment syncs, without prefix."""


@dataclass(frozen=True, slots=True)
class Names:
    """Everything Kafka knows by name, with the installation's prefix put before it."""

    prefix: str = ""

    def topic(self, topic: Topic) -> str:
        """Give a topic's name in this installation."""
        return self.prefix + topic.name

    def subject(self, topic: Topic) -> str:
        """Give the registry subject of a topic's value (TopicNameStrategy)."""
        return f"{self.topic(topic)}-value"

    def group(self, group: str) -> str:
        """Give a consumer group's id in this installation."""
        return self.prefix + group

    def transactional_id(self, role: str, instance_id: str) -> str:
        """Give the stable transactional id of one process in one role."""
        return f"{self.prefix}heapline.{role}.{instance_id}"
