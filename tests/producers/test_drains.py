"""Draining a segment by hand."""

from __future__ import annotations

import asyncio

import pytest

from heapline.errors import KafkaUnavailable
from heapline.heap.segment_page import Action
from heapline.words import SegmentId, Workspace
from producers.drains import PREFIX, write_drains
from tests.fakes.page_log import FakePageLog

_ACME = Workspace("acme")


def test_each_segment_gets_a_drain() -> None:
    """Under one id of its own, which says that it was made by hand."""
    log = FakePageLog()
    asyncio.run(write_drains(log, _ACME, [SegmentId("7"), SegmentId("8")], 1_234))
    assert [page.segment_id for page in log.pages] == ["7", "8"]
    assert {page.action for page in log.pages} == {Action.DRAIN}
    assert {page.received_at_ms for page in log.pages} == {1_234}
    (drain,) = {page.sync_task_id for page in log.pages}
    assert drain is not None
    assert drain.startswith(PREFIX)
    assert log.is_closed


def test_two_drains_are_two() -> None:
    """A second one an instant later is meant, not a retry."""
    log = FakePageLog()
    for _ in range(2):
        asyncio.run(write_drains(log, _ACME, [SegmentId("7")], 1_234))
    assert len({page.sync_task_id for page in log.pages}) == 2


def test_brokers_that_are_away_are_told() -> None:
    """Nothing is said to be done that is not."""
    log = FakePageLog()
    log.problem = KafkaUnavailable("away")
    with pytest.raises(KafkaUnavailable):
        asyncio.run(write_drains(log, _ACME, [SegmentId("7")], 0))
