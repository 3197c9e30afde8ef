"""Records outside their workspace's partition are noticed, and only those."""

from __future__ import annotations

from consumers.forwarder.placement import Placement
from consumers.forwarder.record import Partition
from heapline.kafka.partition import partition_of
from heapline.outcomes import Source
from tests.consumers.forwarder.samples import record

HOME = partition_of(b"acme", 12)


def test_only_records_away_from_home_are_counted() -> None:
    """Once each, until they were reported."""
    placement = Placement()
    placement.partition_count = 12
    for number in range(12):
        each = record()
        each.partition = Partition("events", number)
        placement.look_at(each)
    assert placement.take_count() == 11
    assert placement.take_count() == 0


def test_what_is_unknown_or_deferred_counts_as_placed() -> None:
    """A partition count not known yet proves nothing; deferred records follow their owner."""
    placement = Placement()
    astray = record()
    astray.partition = Partition("events", (HOME + 1) % 12)
    placement.look_at(astray)
    placement.partition_count = 12
    deferred = record(source=Source.DEFERRED)
    deferred.partition = Partition("deferred", (HOME + 1) % 12)
    placement.look_at(deferred)
    assert placement.take_count() == 0
