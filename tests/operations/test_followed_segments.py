"""Rows of `heap.segments`, read on, on the real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.heap.segment_keys import segment_key
from heapline.heap.segment_record import HeapSegment, SegmentStatus
from heapline.kafka.registry import Registry
from heapline.kafka.topics import SEGMENTS
from heapline.words import SegmentId, Workspace
from operations.followed_segments import FollowedSegments
from operations.segment_news import KafkaSegmentNews
from tests.on_kafka import (
    encoder_for,
    make_topics,
    settings_for,
    transaction_producer,
    write,
)

if TYPE_CHECKING:
    from devstack.world import World

ACME, SHOP = Workspace("acme"), Workspace("shop")


def row(workspace: Workspace, number: str, name: str) -> HeapSegment:
    """Make a row."""
    return HeapSegment(workspace, SegmentId(number), 1, 0, 0, SegmentStatus.COMPLETE, name)


def test_what_comes_later_is_read_on(world: World, prefix: str) -> None:
    """New rows, changed ones, and tombstones; the same as reading all of it anew."""
    settings = settings_for(world, prefix)
    names = make_topics(settings)
    encoder = encoder_for(settings, names, SEGMENTS)

    def put(*rows: HeapSegment) -> None:
        write(
            settings,
            names.topic(SEGMENTS),
            [
                {
                    "key": segment_key(each.workspace, each.segment_id),
                    "value": encoder.encode(each.to_record()),
                }
                for each in rows
            ],
        )

    with Registry(settings.schema_registry) as schemas:
        followed = FollowedSegments(settings.kafka, schemas)
        assert followed.of(ACME) == ()
        put(row(ACME, "7", "Free"), row(ACME, "8", "Paid"), row(SHOP, "7", "Other"))
        assert [each.name for each in followed.of(ACME)] == ["Free", "Paid"]
        put(row(ACME, "7", "Freed"))
        gone = {"key": segment_key(ACME, SegmentId("8")), "value": None}
        unreadable = {"key": b"no key", "value": b"no row"}
        write(settings, names.topic(SEGMENTS), [gone, unreadable])
        assert [each.name for each in followed.of(ACME)] == ["Freed"]
        assert followed.of(ACME) == KafkaSegmentNews(settings.kafka, schemas).of(ACME)
        _in_a_transaction(settings.kafka.prefix, world)
        assert [each.name for each in followed.of(SHOP)] == ["Other"]
        followed.close()


def _in_a_transaction(prefix: str, world: World) -> None:
    """Leave a marker and an aborted record: offsets with holes."""
    settings = settings_for(world, prefix)
    producer = transaction_producer(settings)
    producer.begin_transaction()
    producer.produce(prefix + "heap.segments", b"never", segment_key(SHOP, SegmentId("7")))
    producer.flush(20)
    producer.abort_transaction(20)
