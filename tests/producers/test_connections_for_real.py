from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heapline.errors import CallerMistake, Fenced, KafkaUnavailable, NotReady
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.registry import Registry
from heapline.kafka.topics import CONNECTIONS, Names
from heapline.words import AppId, Workspace
from producers.connections import (
    TRANSACTIONAL_INSTANCE,
    TRANSACTIONAL_ROLE,
    ConnectionPatch,
    ConnectionRegistry,
)
from tests.on_kafka import (
    environment_for,
    make_topics,
    plain_producer,
    read_all,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.world import World
    from heapline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ACME, GLOBEX = Workspace("acme"), Workspace("globex")
CONNECT = ConnectionPatch(app_id=AppId("11"), region=Region.EU)


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world, with topics and schemas made."""
    made = settings_for(world, prefix)
    make_topics(made, partitions=1)
    return made


@pytest.fixture
def connections(settings: Settings) -> Iterator[ConnectionRegistry]:
    """A registry of connections."""
    with Registry(settings.schema_registry) as schemas:
        yield ConnectionRegistry(settings.kafka, schemas)


def test_what_is_set_is_listed(connections: ConnectionRegistry) -> None:
    """Changes add up, by workspace, with versions."""
    assert connections.list() == ()
    first = connections.set(GLOBEX, ConnectionPatch(send=Send.HOLD))
    second = connections.set(ACME, CONNECT)
    third = connections.set(ACME, ConnectionPatch(send=Send.ON, include=("nudge_*",)))
    assert connections.list() == (third, first)
    assert (second.version, third.version) == (1, 2)
    assert (third.app_id, third.region, third.include) == ("11", Region.EU, ("nudge_*",))


def test_a_change_to_what_is_there_already_writes_nothing(
    settings: Settings, connections: ConnectionRegistry
) -> None:
    """Scripts may repeat themselves."""
    first = connections.set(ACME, CONNECT)
    assert connections.set(ACME, CONNECT) == first
    assert len(read_all(settings, Names(settings.kafka.prefix).topic(CONNECTIONS))) == 1


def test_removing_frees_the_app_id(connections: ConnectionRegistry) -> None:
    """A tombstone; then another workspace may have it, and a new row starts at version 1."""
    connections.set(ACME, CONNECT)
    with pytest.raises(CallerMistake, match="acme"):
        connections.set(GLOBEX, CONNECT)
    connections.remove(ACME)
    assert connections.set(GLOBEX, CONNECT).version == 1
    assert [each.workspace for each in connections.list()] == [GLOBEX]
    with pytest.raises(CallerMistake, match="no connection of acme"):
        connections.remove(ACME)


def test_a_refused_change_leaves_nothing_behind(
    settings: Settings, connections: ConnectionRegistry
) -> None:
    """The topic holds what it held."""
    connections.set(ACME, CONNECT)
    for _ in range(2):
        with pytest.raises(CallerMistake):
            connections.set(GLOBEX, CONNECT)
    assert len(read_all(settings, Names(settings.kafka.prefix).topic(CONNECTIONS))) == 1


def test_an_unreadable_row_is_not_written_over_by_accident(
    settings: Settings, connections: ConnectionRegistry
) -> None:
    """A newer heapline may have written it; removing it is possible, and says so."""
    topic = Names(settings.kafka.prefix).topic(CONNECTIONS)
    producer = plain_producer(settings)
    producer.produce(topic, key=b"acme", value=b"from the future")
    assert producer.flush(10) == 0
    with pytest.raises(CallerMistake, match="connections remove acme"):
        connections.set(ACME, CONNECT)
    assert connections.set(GLOBEX, CONNECT).version == 1
    connections.remove(ACME)
    assert connections.set(ACME, ConnectionPatch(send=Send.ON)).version == 1


def test_without_topics_or_schemas_it_says_which_command_to_run(world: World, prefix: str) -> None:
    """Nothing is made on the way."""
    settings = settings_for(world, prefix)
    with Registry(settings.schema_registry) as schemas:
        connections = ConnectionRegistry(settings.kafka, schemas)
        with pytest.raises(NotReady, match="heapline topics apply"):
            connections.list()
        with pytest.raises(NotReady, match="heapline schemas register"):
            connections.set(ACME, CONNECT)


def test_two_writers_at_once_lose_no_update(settings: Settings) -> None:
    """Each adds filters to the same row and rows of its own; in the end all of it is there."""
    rounds, failures = 4, list[Exception]()

    def write(writer: str) -> None:
        try:
            with Registry(settings.schema_registry) as schemas:
                connections = ConnectionRegistry(settings.kafka, schemas)
                for number in range(rounds):
                    own = Workspace(f"{writer}-{number}")
                    connections.set(own, ConnectionPatch(send=Send.ON))
                    side = {"a": "include", "b": "exclude"}[writer]
                    connections.set(ACME, ConnectionPatch(**{side: (f"{number}",)}))  # type: ignore[arg-type] # one of two fields
        except Exception as error:  # noqa: BLE001 -- told in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    with Registry(settings.schema_registry) as schemas:
        rows = {row.workspace: row for row in ConnectionRegistry(settings.kafka, schemas).list()}
    expected = {f"{writer}-{number}" for writer in "ab" for number in range(rounds)}
    assert rows.keys() == expected | {"acme"}
    last = f"{rounds - 1}"
    assert (rows[ACME].include, rows[ACME].exclude) == ((last,), (last,))
    assert rows[ACME].version == 2 * rounds


STUCK_WRITER = f"""
import sys, time
from heapline.kafka.clients import transactional_producer
from heapline.kafka.topics import CONNECTIONS, Names
from heapline.settings import load_settings

kafka = load_settings().kafka
names = Names(kafka.prefix)
role = ({TRANSACTIONAL_ROLE!r}, {TRANSACTIONAL_INSTANCE!r})
stuck_for_long = {{"transaction.timeout.ms": 120_000}}
producer = transactional_producer(kafka, "stuck", names.transactional_id(*role), **stuck_for_long)
producer.init_transactions(10)
producer.begin_transaction()
producer.produce(names.topic(CONNECTIONS), key=b"acme", value=None)
producer.flush(10)
print("inside", flush=True)
time.sleep(60)
"""


def test_a_writer_killed_inside_its_transaction_holds_up_nobody(
    world: World, prefix: str, connections: ConnectionRegistry
) -> None:
    """The next one aborts it, does not wait for its timeout, and sees nothing of it."""
    before = connections.set(ACME, CONNECT)
    stuck = subprocess.Popen(
        [sys.executable, "-c", STUCK_WRITER],
        env=os.environ | environment_for(world, prefix),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with stuck:
        assert stuck.stdout is not None
        assert stuck.stdout.readline() == b"inside\n"
        stuck.send_signal(signal.SIGKILL)
    started = time.monotonic()
    after = connections.set(ACME, ConnectionPatch(send=Send.ON))
    assert time.monotonic() - started < 60
    assert (after.version, after.app_id) == (before.version + 1, before.app_id)


class AlwaysLate(ConnectionRegistry):
    """A writer whom another one always beats."""

    attempts = 0

    def _write_once(self, *_: object) -> Connection | None:
        self.attempts += 1
        raise Fenced("another one took over")


class RestingClock:
    """Counts how long it was asked to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return sum(self.slept)

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return 0

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.slept.append(seconds)


def test_a_writer_that_is_always_late_gives_up_in_the_end(settings: Settings) -> None:
    """Attempts are bounded, and further and further apart."""
    clock = RestingClock()
    with Registry(settings.schema_registry) as schemas:
        late = AlwaysLate(settings.kafka, schemas, clock=clock, jitter=lambda: 1.0)
        with pytest.raises(KafkaUnavailable, match="try again later"):
            late.set(ACME, CONNECT)
    assert late.attempts == len(clock.slept) == 12
    assert clock.slept == sorted(clock.slept)
    assert sum(clock.slept) < 30
