"""Kafka and the registry going away: before the start, in mid-run, for seconds or for longer."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator.faults import Latency
from devstack.temporary import temporary_world
from tests.forwarding.harness import Forwarding, wait_until
from tests.on_kafka import said_of_markers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

FEW_AT_ONCE = {"HEAPLINE_LIMITS__EVENTS_PER_REQUEST": "20"}
TRANSACTION_TIMEOUT_SECONDS = 10.0
_ATTEMPTS = 3


@pytest.fixture(scope="module")
def breakable_world() -> Iterator[World]:
    """Give a world whose servers may be killed; every test mends it."""
    with temporary_world(servers=("kafka", "registry")) as running:
        yield running


@pytest.fixture
def breakable(breakable_world: World, heap: SimulatorClient) -> Iterator[Forwarding]:
    """Give topics, schemas and three connected workspaces in that world."""
    yield _connected(breakable_world, heap)
    for server in (breakable_world.kafka, breakable_world.registry):
        server.resume()
        server.start()


def _connected(world: World, heap: SimulatorClient) -> Forwarding:
    there = Forwarding(world, f"t{secrets.token_hex(4)}-", heap)
    there.connect_all({f"ws-{number}": f"app-{number}" for number in range(3)})
    return there


def _published(there: Forwarding, count: int) -> set[str]:
    ids: set[str] = set()
    for number in range(3):
        ids |= there.publish(f"ws-{number}", count)
    return ids


def _check_all_delivered(there: Forwarding, ids: set[str]) -> None:
    audit = there.audit(["app-0", "app-1", "app-2"])
    try:
        audit.check()
    except AssertionError as error:
        error.add_note(said_of_markers(there.world) or "the broker left out no markers")
        raise
    assert set(audit.in_heap) == ids
    assert not audit.dead
    assert not audit.waiting


def test_broker_paused_longer_than_a_transaction_may_take(breakable: Forwarding) -> None:
    """The broker ends the open transaction itself; its content is written once nevertheless."""
    heap = breakable.heap
    heap.faults(Latency(ms=150))
    ids = _published(breakable, 1_500)
    with breakable.forwarder(**FEW_AT_ONCE) as process:
        wait_until(lambda: heap.ledger().accepted > 200)
        breakable.world.kafka.pause()
        time.sleep(TRANSACTION_TIMEOUT_SECONDS + 2)
        breakable.world.kafka.resume()
        wait_until(lambda: heap.ledger().accepted == len(ids), timeout=120)
        assert process.poll() is None
        breakable.stop(process)
    _check_all_delivered(breakable, ids)


def test_stopping_while_the_broker_is_away(breakable: Forwarding) -> None:
    """A stop ends within its deadline even then; what could not be written down repeats."""
    heap = breakable.heap
    heap.faults(Latency(ms=100))
    ids = _published(breakable, 300)
    with breakable.forwarder(**FEW_AT_ONCE, HEAPLINE_FORWARDER__SHUTDOWN_SECONDS="2") as process:
        wait_until(lambda: heap.ledger().accepted > 100)
        breakable.world.kafka.pause()
        process.terminate()
        started = time.monotonic()
        process.wait(120)
        assert time.monotonic() - started < 80  # without a deadline it would wait for ever
        breakable.world.kafka.resume()
    breakable.catch_up()
    _check_all_delivered(breakable, ids)


def test_broker_killed_in_mid_run(breakable: Forwarding) -> None:
    """The forwarder goes on by itself once the broker is back; nothing is lost or miscounted.

    After those in which it only stands still: from here on it may not for long (`devstack.kafka`).
    """
    there, world = breakable, breakable.world
    for attempts_left in reversed(range(_ATTEMPTS)):
        markers = said_of_markers(world)
        ids = _delivered_though_the_broker_is_killed(there)
        try:
            _check_all_delivered(there, ids)
        except AssertionError:
            # What the broker says of a transaction whose markers it left out is wrong.
            if said_of_markers(world) == markers or not attempts_left:
                raise
            there.heap.reset()
            there = _connected(world, there.heap)
        else:
            return


def _delivered_though_the_broker_is_killed(there: Forwarding) -> set[str]:
    heap, kafka = there.heap, there.world.kafka
    heap.faults(Latency(ms=150))
    ids = _published(there, 1_000)
    with there.forwarder(**FEW_AT_ONCE) as process:
        wait_until(lambda: heap.ledger().accepted > 200)
        kafka.kill()
        time.sleep(1)
        kafka.start()
        ids |= there.publish("ws-0", 100, first=5_000)
        wait_until(lambda: heap.ledger().accepted == len(ids), timeout=120)
        assert process.poll() is None
        there.stop(process)
    return ids


def test_registry_down_at_the_start(breakable: Forwarding) -> None:
    """The forwarder waits and says so; it begins when the registry answers."""
    ids = _published(breakable, 50)
    breakable.world.registry.stop()
    with breakable.forwarder() as process:
        time.sleep(2)
        assert process.poll() is None
        breakable.world.registry.start()
        wait_until(lambda: breakable.heap.ledger().accepted == len(ids), timeout=120)
        breakable.stop(process)
    assert '"event": "waiting"' in breakable.logs[-1]
    _check_all_delivered(breakable, ids)


def test_registry_down_when_a_new_schema_appears(breakable: Forwarding) -> None:
    """Records of the new schema wait as long as it takes; those of known schemas flow."""
    heap, registry = breakable.heap, breakable.world.registry
    ids = _published(breakable, 50)
    with breakable.forwarder(HEAPLINE_FORWARDER__UNKNOWN_SCHEMA_WAIT_SECONDS="0.5") as process:
        wait_until(lambda: heap.ledger().accepted == len(ids))
        strange = breakable.event("ws-1", 7_000)
        value = breakable.evolved(strange, mood="good")
        registry.kill()
        breakable.publish_raw([(b"ws-1", value)])
        breakable.published.add(strange.event_id)
        ids |= breakable.publish("ws-1", 50, first=8_000) | breakable.publish("ws-2", 50, first=100)
        wait_until(lambda: heap.ledger().accepted == len(ids))
        time.sleep(2)
        assert process.poll() is None
        assert strange.event_id not in heap.keys("app-1")
        registry.start()
        wait_until(lambda: strange.event_id in heap.keys("app-1"), timeout=120)
        breakable.stop(process)
    _check_all_delivered(breakable, ids | {strange.event_id})


def test_kafka_down_at_the_start(forwarding: Forwarding) -> None:
    """Where no broker answers, the command says so, how to mend it, and fails."""
    nowhere = {
        "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "HEAPLINE_KAFKA__TIMEOUT_SECONDS": "1",
    }
    with forwarding.forwarder(**nowhere) as process:
        assert process.wait(120) == 1
    assert "no Kafka answers" in forwarding.logs[-1]
    assert "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS" in forwarding.logs[-1]
    assert "Traceback" not in forwarding.logs[-1]
