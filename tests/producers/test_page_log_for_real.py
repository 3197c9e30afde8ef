"""The page log on a real broker."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from heapline.errors import KafkaUnavailable, NotReady
from heapline.heap.segment_page import Action, SegmentPage
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import SEGMENT_PAGES
from heapline.words import SegmentId, UserId, Workspace
from producers.page_log import DELIVERY_SECONDS, KafkaPageLog, PageTooLarge
from tests.on_kafka import make_topics, read_all, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from confluent_kafka import Message

    from devstack.world import World
    from heapline.settings import Settings
    from tests.conftest import OwnWorld


def page(number: int = 1, segment: str = "7", users: int = 2) -> SegmentPage:
    """A page of workspace acme."""
    return SegmentPage(
        Workspace("acme"),
        SegmentId(segment),
        Action.SYNC,
        digest=number,
        received_at_ms=1_700_000_000_000 + number,
        add=tuple(UserId(f"user-{number}-{n}") for n in range(users)),
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[KafkaPageLog]:
    """A log that has found its topic."""
    log = KafkaPageLog(settings.kafka, settings.schema_registry)
    try:
        await log.open()
        yield log
    finally:
        await log.close()


def written(settings: Settings, topic: str) -> dict[tuple[int, int], tuple[Message, SegmentPage]]:
    """The pages in the topic, by place."""
    with Registry(settings.schema_registry) as registry:
        decoder = Decoder("SegmentSyncPage", registry)
        return {
            (each.partition() or 0, each.offset() or 0): (
                each,
                SegmentPage.from_record(decoder.decode(each.value())),
            )
            for each in read_all(settings, topic)
        }


def test_pages_stand_where_the_log_says(world: World, prefix: str) -> None:
    """Key, time and content; the pages of one segment in the order they were written."""
    settings = settings_for(world, prefix)
    names = make_topics(settings)
    pages = [page(n, segment=str(n % 5)) for n in range(50)]

    async def write() -> list[tuple[int, int]]:
        async with opened(settings) as log:
            places = await asyncio.gather(*(log.append(each) for each in pages))
        return [(each.partition, each.offset) for each in places]

    places = asyncio.run(write())
    there = written(settings, names.topic(SEGMENT_PAGES))
    assert [there[place][1] for place in places] == pages
    for message, each in there.values():
        assert message.key() == f'["acme","{each.segment_id}"]'.encode()
        assert message.timestamp()[1] == each.received_at_ms
    assert [p.digest for _, p in sorted(there.values(), key=lambda x: x[0].offset() or 0)]


def test_a_page_of_200_000_users_fits_and_a_larger_one_is_told(world: World, prefix: str) -> None:
    """The default body limit fits the topic."""
    settings = settings_for(world, prefix)
    make_topics(settings)

    async def write() -> None:
        async with opened(settings) as log:
            await log.append(page(users=200_000))
            with pytest.raises(PageTooLarge):
                await log.append(page(users=3_000_000))

    asyncio.run(write())


def test_before_the_topic_is_there_nothing_is_taken(world: World, prefix: str) -> None:
    """The reason names the command that makes it."""
    settings = settings_for(world, prefix)

    async def write() -> None:
        log = KafkaPageLog(settings.kafka, settings.schema_registry)
        try:
            with pytest.raises(NotReady, match="topics apply"):
                await log.open()
            with pytest.raises(KafkaUnavailable):
                await log.append(page())
        finally:
            await log.close()

    asyncio.run(write())


def test_a_broker_that_is_down_is_told_within_5_s(own_world: OwnWorld, prefix: str) -> None:
    """Heap hears 503 and tries again; once the broker is back, pages are taken."""
    own = own_world(servers=("kafka", "registry"))
    settings = settings_for(own, prefix)
    names = make_topics(settings)

    async def write() -> None:
        async with opened(settings) as log:
            await log.append(page(1))
            own.kafka.kill()
            began = time.monotonic()
            with pytest.raises(KafkaUnavailable):
                await log.append(page(2))
            assert DELIVERY_SECONDS < 5.0
            assert time.monotonic() - began < 20  # a busy machine comes late to say so
            own.kafka.start()
            for _ in range(5):
                try:
                    await log.append(page(3))
                except KafkaUnavailable:
                    continue
                break

    asyncio.run(write())
    digests = [each.digest for _, each in written(settings, names.topic(SEGMENT_PAGES)).values()]
    assert digests[0] == 1
    assert digests[-1] == 3
