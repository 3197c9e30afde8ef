"""Partitions that come and go while something else is read."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from consumers.segment_sync.decisions import Place
from consumers.segment_sync.source import PageSource
from heapline.errors import KafkaUnavailable
from heapline.kafka.clients import admin
from heapline.kafka.logs import Logs
from tests.forwarding.harness import wait_until
from tests.segment_sync.harness import page

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.segment_sync.harness import SegmentSync

PARTITIONS = {0, 1, 2}


class Share:
    """The partitions of one member."""

    def __init__(self) -> None:
        self.partitions: set[int] = set()

    def assigned(self, partitions: Collection[int]) -> None:
        """See `Owner.assigned`."""
        self.partitions |= set(partitions)

    def given_up(self, partitions: Collection[int]) -> None:
        """See `Owner.given_up`."""
        self.partitions -= set(partitions)


def _source(syncs: SegmentSync) -> PageSource:
    kafka = syncs.settings.kafka
    return PageSource(kafka, syncs.names, Logs(admin(kafka), 10), session_timeout_seconds=10)


def test_pages_that_come_during_a_long_read_wait_for_their_turn(syncs: SegmentSync) -> None:
    """None is lost and none comes twice, though their partitions came only meanwhile."""
    pages = [page(str(number), add="a") for number in range(40)]
    first, second, own, others = _source(syncs), _source(syncs), Share(), Share()
    with closing(first):
        first.subscribe(own)
        second.subscribe(others)

        def both_have_some() -> bool:
            first.read()
            second.read()
            return bool(own.partitions and others.partitions)

        wait_until(both_have_some, timeout=120)
        with first.paused():
            second.close()

            def has_all() -> bool:
                first.keep_alive()
                return own.partitions == PARTITIONS

            wait_until(has_all, timeout=120)
            syncs.accept(*pages)
            for _ in range(20):
                first.keep_alive()
        taken: defaultdict[int, list[int]] = defaultdict(list)

        def all_taken() -> bool:
            for message in first.read():
                if first.wants(message):
                    at = Place(message.partition() or 0, message.offset() or 0)
                    taken[at.partition].append(at.offset)
                    first.taken(at)
            return sum(map(len, taken.values())) >= len(pages)

        wait_until(all_taken, timeout=120)
    assert all(offsets == list(range(len(offsets))) for offsets in taken.values())
    assert set(taken) == PARTITIONS


def test_a_page_of_a_partition_that_left_is_not_ours(syncs: SegmentSync) -> None:
    """Nor is one that another member took meanwhile."""
    source, own = _source(syncs), Share()
    with closing(source):
        source.subscribe(own)

        def has_all() -> bool:
            source.read()
            return own.partitions == PARTITIONS

        wait_until(has_all, timeout=120)
        source.check_ours(Place(0, 0))
        source.taken(Place(0, 0))
        with pytest.raises(KafkaUnavailable):
            source.check_ours(Place(0, 0))
        with pytest.raises(KafkaUnavailable):
            source.check_ours(Place(9, 0))
