"""The catalogue of topics."""

from __future__ import annotations

import pytest

from heapline.kafka.topics import (
    CONNECTIONS,
    DEFERRED,
    DLQ,
    EVENTS,
    FORWARDER_GROUP,
    HEADROOM_BYTES,
    MEMBERSHIPS,
    OUTCOME_COUNTS,
    SEGMENT_PAGES,
    SEGMENTS,
    TOPICS,
    Names,
    Topic,
)

KEPT_FOR_A_TIME = (EVENTS, DEFERRED, DLQ, OUTCOME_COUNTS, SEGMENT_PAGES)


def retention_days(topic: Topic) -> float:
    """How long a topic keeps its records."""
    return int(topic.config["retention.ms"]) / 86_400_000


def test_names_are_the_published_ones() -> None:
    """Others script against them."""
    assert [topic.name for topic in TOPICS] == [
        "commandai.events",
        "commandai.events.deferred",
        "commandai.events.dlq",
        "commandai.outcome-counts",
        "heap.connections",
        "heap.segment-sync-pages",
        "heap.segment-memberships",
        "heap.segments",
        "heapline.forwarder-status",
        "heap.erasures",
    ]


def test_deferred_and_dlq_take_every_event_with_more_headers() -> None:
    """Else a checkpoint could never commit."""
    largest = int(EVENTS.config["max.message.bytes"])
    for topic in (DEFERRED, DLQ):
        assert int(topic.config["max.message.bytes"]) == largest + HEADROOM_BYTES


def test_retentions_are_those_of_the_plan() -> None:
    """Seven days for events, thirty for what an operator looks into."""
    assert [retention_days(t) for t in KEPT_FOR_A_TIME] == [7, 7, 30, 30, 30]


@pytest.mark.parametrize("topic", [CONNECTIONS, MEMBERSHIPS, SEGMENTS], ids=lambda each: each.name)
def test_tables_are_compacted_within_a_day(topic: Topic) -> None:
    """So that erasure can promise dates, and a reader a week behind still sees tombstones."""
    assert topic.config | {"max.message.bytes": ""} == {
        "cleanup.policy": "compact",
        "max.compaction.lag.ms": "86400000",
        "segment.ms": "86400000",
        "delete.retention.ms": str(7 * 86_400_000),
        "max.message.bytes": "",
    }


def test_connections_lie_in_one_partition() -> None:
    """Their versions follow one another."""
    assert CONNECTIONS.partitions == 1


def test_segment_topics_share_one_partition_count() -> None:
    """Whoever owns partition n of the pages reads partition n of the segments."""
    assert SEGMENT_PAGES.partitions is SEGMENTS.partitions is MEMBERSHIPS.partitions is None


def test_pages_take_the_largest_body() -> None:
    """A body within the default limit fits, even where its ids grow."""
    assert int(SEGMENT_PAGES.config["max.message.bytes"]) == 20 * 1024 * 1024
    assert int(SEGMENTS.config["max.message.bytes"]) == 8 * 1024 * 1024


def test_events_and_deferred_share_their_partition_count() -> None:
    """Partition n of both belongs to one owner."""
    assert EVENTS.partitions is DEFERRED.partitions is None


@pytest.mark.parametrize("prefix", ["", "staging."])
def test_a_prefix_stands_before_everything_kafka_knows_by_name(prefix: str) -> None:
    """Two installations share a Kafka without meeting."""
    names = Names(prefix)
    assert names.topic(EVENTS) == f"{prefix}commandai.events"
    assert names.subject(EVENTS) == f"{prefix}commandai.events-value"
    assert names.group(FORWARDER_GROUP) == f"{prefix}heapline.forwarder"
    assert names.transactional_id("forwarder", "a") == f"{prefix}heapline.forwarder.a"


def test_transactional_ids_differ_by_role_and_instance() -> None:
    """Two processes under one id would fence each other."""
    names = Names()
    ids = {names.transactional_id(r, i) for r in ("forwarder", "registry") for i in ("a", "b")}
    assert len(ids) == 4
