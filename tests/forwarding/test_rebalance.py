"""Members of the group coming, going, dying and freezing while events keep coming."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator.faults import Latency
from heapline.kafka.clients import admin
from heapline.kafka.topics import FORWARDER_GROUP
from tests.forwarding.harness import Forwarding, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

pytestmark = pytest.mark.slow

WORKSPACES = [f"ws-{number}" for number in range(8)]
APPS = [f"app-{number}" for number in range(8)]
SESSION_SECONDS = 2.0
"""As the harness sets it."""
UNHURRIED = {
    "HEAPLINE_FORWARDER__SESSION_TIMEOUT_SECONDS": "10",
    "HEAPLINE_HEAP__TIMEOUT_SECONDS": "10",
}
"""For members that leave in good order: a busy machine must not end their session before."""
REPEATED_SHARE = 0.01
"""How much a graceful handover may deliver twice; a prototype without one delivered 4 % twice."""


@pytest.fixture
def shared(world: World, prefix: str, heap: SimulatorClient) -> Forwarding:
    """Give six partitions with eight connected workspaces."""
    there = Forwarding(world, prefix, heap, partitions=6)
    there.connect_all(dict(zip(WORKSPACES, APPS, strict=True)))
    return there


@contextmanager
def _publishing(there: Forwarding, pause_seconds: float = 0.1) -> Iterator[None]:
    """Publish to all workspaces in turn until left."""
    ended = threading.Event()

    def publish() -> None:
        number = 0
        while not ended.wait(pause_seconds):
            for workspace in WORKSPACES:
                there.publish(workspace, 20, first=20 * number)
            number += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _member(there: Forwarding, name: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    with there.forwarder(HEAPLINE_INSTANCE_ID=name, **more) as process:
        yield process


def _wait_for_members(there: Forwarding, count: int) -> None:
    """Wait until so many members have partitions."""
    client = admin(there.settings.kafka)
    group = there.names.group(FORWARDER_GROUP)

    def shared_out() -> bool:
        members = client.describe_consumer_groups([group])[group].result().members
        holding = [each for each in members if each.assignment.topic_partitions]
        return len(members) == len(holding) == count

    wait_until(shared_out, timeout=120, what=f"for {count} members to share the partitions")


def _wait_for_all(there: Forwarding) -> None:
    wait_until(
        lambda: there.heap.ledger().accepted == len(there.published),
        timeout=120,
        what="for all events to arrive",
    )


def _check(there: Forwarding) -> float:
    """Check the books; give the share of deliveries that were repeated."""
    audit = there.audit(APPS)
    audit.check()
    assert set(audit.in_heap) == there.published
    assert not audit.waiting
    assert audit.outcome("delivered") == len(there.published)
    return audit.duplicates / len(there.published)


def test_a_second_forwarder_joining_and_leaving_every_few_seconds(shared: Forwarding) -> None:
    """Each handover is graceful: the books balance and next to nothing is delivered twice."""
    shared.heap.faults(Latency(ms=30, jitter_ms=60))
    with _member(shared, "first", **UNHURRIED) as first:
        with _publishing(shared):
            wait_until(lambda: bool(shared.heap.ledger().accepted))
            for _ in range(3):
                with _member(shared, "second", **UNHURRIED) as second:
                    _wait_for_members(shared, 2)
                    time.sleep(1.5)
                    shared.stop(second)
                assert '"partitions assigned"' in shared.logs[-1]
                time.sleep(1.0)
        _wait_for_all(shared)
        shared.stop(first)
    repeated = _check(shared)
    assert repeated <= REPEATED_SHARE


def test_a_member_killed(shared: Forwarding) -> None:
    """The other takes its partitions over, even from inside an unfinished transaction."""
    shared.heap.faults(Latency(ms=30, jitter_ms=60))
    with ExitStack() as members:
        survivor = members.enter_context(_member(shared, "survivor"))
        victim = members.enter_context(_member(shared, "victim"))
        with _publishing(shared):
            _wait_for_members(shared, 2)
            time.sleep(2)
            victim.send_signal(signal.SIGKILL)
            time.sleep(1)
        _wait_for_all(shared)
        shared.stop(survivor)
    _check(shared)


def test_a_member_frozen_for_longer_than_its_session(shared: Forwarding) -> None:
    """When it thaws, its partitions are another's: what it still believes spoils no books."""
    shared.heap.faults(Latency(ms=30, jitter_ms=60))
    with ExitStack() as members:
        steady = members.enter_context(_member(shared, "steady"))
        frozen = members.enter_context(_member(shared, "frozen"))
        with _publishing(shared):
            _wait_for_members(shared, 2)
            time.sleep(2)
            frozen.send_signal(signal.SIGSTOP)
            time.sleep(SESSION_SECONDS + 2)
            frozen.send_signal(signal.SIGCONT)
            time.sleep(3)
        _wait_for_all(shared)
        assert frozen.poll() is None
        shared.stop(frozen)
        shared.stop(steady)
    _check(shared)


def test_the_same_instance_id_twice(shared: Forwarding) -> None:
    """The one that was there first is fenced: it says why and fails; the books still balance."""
    with ExitStack() as members:
        older = members.enter_context(_member(shared, "twin"))
        with _publishing(shared):
            wait_until(lambda: bool(shared.heap.ledger().accepted))
            younger = members.enter_context(_member(shared, "twin"))
            assert older.wait(120) == 1
        _wait_for_all(shared)
        shared.stop(younger)
    assert any("another process runs under the same HEAPLINE_INSTANCE_ID" in x for x in shared.logs)
    assert not any("Traceback" in x for x in shared.logs)
    _check(shared)
