from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from heapline.errors import UnknownSchema
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.codec import Encoder
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.schemas import schema_text
from heapline.kafka.topics import CONNECTIONS, Names
from heapline.words import AppId, Workspace
from operations.topics import TopicAdministrator
from tests.fakes.schema_source import FakeSchemas
from tests.on_kafka import make_topics, settings_for, transaction_producer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Producer

    from devstack.world import World
    from heapline.settings import Settings

ENCODER = Encoder("HeapConnection", 7)
ACME = Workspace("acme")
WAIT_SECONDS = 60.0


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


@pytest.fixture
def schemas() -> FakeSchemas:
    """Knows schema 7; can be down."""
    return FakeSchemas({7: schema_text("HeapConnection")})


@pytest.fixture
def producer(settings: Settings) -> Iterator[Producer]:
    """A transactional producer on topics that are there."""
    make_topics(settings, partitions=1)
    made = transaction_producer(settings)
    yield made
    made.flush(5)


@pytest.fixture
def follow(settings: Settings, schemas: FakeSchemas) -> Iterator[Callable[[], ConnectionFollower]]:
    """Start followers that end with the test."""
    started: list[ConnectionFollower] = []

    def start() -> ConnectionFollower:
        names = Names(settings.kafka.prefix)
        started.append(ConnectionFollower(settings.kafka, names, schemas))
        return started[-1]

    yield start
    for each in started:
        each.close()


def connection(version: int = 1) -> Connection:
    """Give a row."""
    return Connection(ACME, version=version, app_id=AppId("11"), region=Region.US, send=Send.ON)


def put(settings: Settings, producer: Producer, *rows: tuple[bytes, bytes | None]) -> None:
    """Write rows in one transaction."""
    producer.begin_transaction()
    for key, value in rows:
        producer.produce(Names(settings.kafka.prefix).topic(CONNECTIONS), key=key, value=value)
    producer.commit_transaction(10)


def put_row(settings: Settings, producer: Producer, version: int) -> None:
    """Write a version of acme's row."""
    put(settings, producer, (b"acme", ENCODER.encode(connection(version).to_record())))


def until(condition: Callable[[], bool], follower: ConnectionFollower) -> None:
    """Poll as a loop does, until something holds."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, follower.waiting_for
        follower.poll(0.02)


def test_all_rows_appear_at_once_when_ready(
    settings: Settings, producer: Producer, follow: Callable[[], ConnectionFollower]
) -> None:
    """Before the end is reached nothing is visible; then the last version of each workspace."""
    for version in (1, 2, 3):
        put_row(settings, producer, version)
    follower = follow()
    seen: list[int] = []
    end = time.monotonic() + WAIT_SECONDS
    while not follower.ready and time.monotonic() < end:
        assert len(follower.table) == 0
        if follower.poll(0.02) == {ACME}:
            seen += [row.version for row in follower.table]
    assert follower.ready
    assert follower.waiting_for is None
    assert seen == [3]


def test_an_empty_topic_is_ready_too(
    producer: Producer, follow: Callable[[], ConnectionFollower]
) -> None:
    """Nothing to read is no reason to wait."""
    del producer
    follower = follow()
    until(lambda: follower.ready, follower)
    assert len(follower.table) == 0


def test_a_change_is_seen_well_within_a_second(
    settings: Settings, producer: Producer, follow: Callable[[], ConnectionFollower]
) -> None:
    """Versions, and then a tombstone, arrive one after the other; a busy machine delays some."""
    follower = follow()
    until(lambda: follower.ready, follower)
    took = []
    for version in (1, 2, 3, 4, 5):
        put_row(settings, producer, version)
        committed = time.monotonic()
        until(lambda: follower.table.get(ACME) == connection(version), follower)  # noqa: B023 -- at once
        took.append(time.monotonic() - committed)
    assert min(took) < 0.8
    put(settings, producer, (b"acme", None))
    until(lambda: follower.table.get(ACME) is None, follower)


def test_an_aborted_change_is_never_seen(
    settings: Settings, producer: Producer, follow: Callable[[], ConnectionFollower]
) -> None:
    """Rows count when their transaction is committed."""
    put_row(settings, producer, 1)
    producer.begin_transaction()
    topic = Names(settings.kafka.prefix).topic(CONNECTIONS)
    producer.produce(topic, key=b"acme", value=None)
    producer.flush(5)
    producer.abort_transaction(10)
    follower = follow()
    until(lambda: follower.ready, follower)
    assert follower.table.get(ACME) == connection(1)


def test_an_unreadable_row_leaves_the_older_version_in_force(
    settings: Settings, producer: Producer, follow: Callable[[], ConnectionFollower]
) -> None:
    """Corrupt bytes, unknown schemas and keys that are no text change nothing and stop nothing."""
    put_row(settings, producer, 1)
    rows = [(b"acme", b"junk"), (b"acme", b"\x00\x00\x00\x00\x63x"), (b"\xff", b"x")]
    put(settings, producer, *rows)
    follower = follow()
    until(lambda: follower.ready, follower)
    assert follower.table.get(ACME) == connection(1)
    put(settings, producer, *rows)
    assert follower.poll(0.5) == frozenset()
    assert follower.table.get(ACME) == connection(1)
    put_row(settings, producer, 2)
    until(lambda: follower.table.get(ACME) == connection(2), follower)


def test_a_registry_that_is_down_is_waited_for(
    settings: Settings,
    producer: Producer,
    schemas: FakeSchemas,
    follow: Callable[[], ConnectionFollower],
) -> None:
    """Not ready, says why, does not hammer, and goes on by itself."""
    put_row(settings, producer, 1)
    schemas.down = True
    follower = follow()
    until(lambda: "fake registry is down" in str(follower.waiting_for), follower)
    time.sleep(1.0)
    assert not follower.ready
    assert len(schemas.asked) <= 4
    schemas.down = False
    until(lambda: follower.ready, follower)
    assert follower.table.get(ACME) == connection(1)


def test_a_registry_that_goes_down_later_delays_changes_only(
    settings: Settings,
    producer: Producer,
    schemas: FakeSchemas,
    follow: Callable[[], ConnectionFollower],
) -> None:
    """Polling stays quick and the old row in force; then the change comes."""
    follower = follow()
    until(lambda: follower.ready, follower)
    schemas.down = True
    put_row(settings, producer, 1)
    until(lambda: follower.waiting_for is not None, follower)
    took = []
    for _ in range(5):
        started = time.monotonic()
        assert follower.poll() == frozenset()
        took.append(time.monotonic() - started)
    assert min(took) < 0.05
    assert follower.ready
    schemas.down = False
    until(lambda: follower.table.get(ACME) == connection(1), follower)
    assert follower.waiting_for is None


def test_the_wrong_registry_is_not_taken_for_an_empty_table(
    settings: Settings,
    producer: Producer,
    schemas: FakeSchemas,
    follow: Callable[[], ConnectionFollower],
) -> None:
    """With no row readable for want of schemas, events are not judged."""
    put_row(settings, producer, 1)
    texts, schemas.texts = schemas.texts, {}
    with pytest.raises(UnknownSchema):
        schemas.schema_by_id(7)
    follower = follow()
    until(lambda: "SCHEMA_REGISTRY__URL" in str(follower.waiting_for), follower)
    assert not follower.ready
    schemas.texts = texts
    until(lambda: follower.ready, follower)
    assert follower.table.get(ACME) == connection(1)


def test_a_missing_topic_is_waited_for(
    settings: Settings, follow: Callable[[], ConnectionFollower]
) -> None:
    """It says which command makes it, and becomes ready once that was run."""
    follower = follow()
    until(lambda: "heapline topics apply" in str(follower.waiting_for), follower)
    make_topics(settings, partitions=1)
    until(lambda: follower.ready, follower)


def test_closing_is_quick_whatever_it_waits_for(settings: Settings, schemas: FakeSchemas) -> None:
    """A follower between two attempts ends at once."""
    follower = ConnectionFollower(settings.kafka, Names(settings.kafka.prefix), schemas)
    follower.poll(0.6)
    started = time.monotonic()
    follower.close()
    assert time.monotonic() - started < 10


def test_a_broker_that_is_killed_and_comes_back_costs_nothing_but_time(
    own_world: Callable[..., World], schemas: FakeSchemas
) -> None:
    """The table stays as it was meanwhile, and changes go on arriving."""
    world = own_world(servers=("kafka",))
    settings = settings_for(world, "restart-")
    names = Names(settings.kafka.prefix)
    TopicAdministrator(settings.kafka).apply(1)
    put_row(settings, transaction_producer(settings), 1)
    with ConnectionFollower(settings.kafka, names, schemas) as follower:
        until(lambda: follower.ready and follower.table.get(ACME) is not None, follower)
        world.kafka.kill()
        follower.poll(1.0)
        assert follower.table.get(ACME) == connection(1)
        world.kafka.start()
        put_row(settings, transaction_producer(settings), 2)
        until(lambda: follower.table.get(ACME) == connection(2), follower)
