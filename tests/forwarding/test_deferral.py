"""Events that wait in the deferred topic, and how they come out of it again."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from devstack.heap_simulator.faults import Latency, Status
from heapline.heap.connection import Send
from tests.chaos.slow_network import SlowNetwork
from tests.forwarding.harness import wait_until

if TYPE_CHECKING:
    from tests.forwarding.harness import Audit, Forwarding

pytestmark = pytest.mark.slow

BRIEF = {
    "HEAPLINE_FORWARDER__DEFERRAL_MIN_SECONDS": "0.5",
    "HEAPLINE_FORWARDER__PROBE_INITIAL_SECONDS": "0.3",
    "HEAPLINE_FORWARDER__PROBE_MAX_SECONDS": "1",
}


def _audit(there: Forwarding) -> Audit:
    return there.audit(["11", "12", "99"])


def _wait_for(there: Forwarding, outcome: str, count: int, source: str = "events") -> None:
    wait_until(
        lambda: _audit(there).outcome(outcome, source) == count, what=f"for {count} {outcome}"
    )


def test_hold_keeps_events_until_it_is_switched_on(forwarding: Forwarding) -> None:
    """Held events are deferred with that reason; switched on, each is delivered once."""
    there = forwarding
    there.connect("acme", "11", Send.HOLD)
    ids = there.publish("acme", 150)
    with there.forwarder(**BRIEF) as process:
        _wait_for(there, "deferred", 150)
        assert not there.heap.keys("11")
        there.connect("acme", "11", Send.ON)
        wait_until(lambda: set(there.heap.keys("11")) == ids)
        there.stop(process)
    audit = _audit(there)
    audit.check()
    assert audit.counts["events", "deferred", "hold"] == 150
    assert audit.outcome("delivered", "deferred") == 150
    assert audit.duplicates == 0


def test_send_switched_off_while_events_wait(forwarding: Forwarding) -> None:
    """What waits is judged by the connection as it is when its time comes."""
    there = forwarding
    there.connect("acme", "11", Send.HOLD)
    there.publish("acme", 60)
    with there.forwarder(**BRIEF) as process:
        _wait_for(there, "deferred", 60)
        there.connect("acme", "11", Send.OFF)
        _wait_for(there, "skipped", 60, "deferred")
        there.stop(process)
    audit = _audit(there)
    audit.check()
    assert audit.counts["deferred", "skipped", "send_off"] == 60
    assert not audit.in_heap


def test_send_switched_off_while_a_request_is_under_way(forwarding: Forwarding) -> None:
    """A request that fails is not sent again once its workspace no longer wants it."""
    there = forwarding
    there.heap.faults(Latency(ms=700), Status(status=503))
    ids = there.publish("acme", 20)
    with there.forwarder(**BRIEF) as process:
        wait_until(lambda: there.heap.ledger().requests > 0)
        there.connect("acme", "11", Send.OFF)
        _wait_for(there, "skipped", 20)
        there.heap.clear_faults()
        there.stop(process)
    audit = _audit(there)
    audit.check(skipped=ids)
    assert not audit.in_heap


def test_a_repaired_connection_drains_its_backlog(forwarding: Forwarding) -> None:
    """Events deferred for a refused app id are delivered to the right one, and only there."""
    there = forwarding
    there.heap.only_apps("99", "12")
    there.connect("globex", "12")
    ids, others = there.publish("acme", 200), there.publish("globex", 50)
    with there.forwarder(**BRIEF) as process:
        _wait_for(there, "deferred", 200)
        there.connect("acme", "99")
        wait_until(lambda: set(there.heap.keys("99")) == ids)
        there.stop(process)
    audit = _audit(there)
    audit.check()
    assert set(there.heap.keys("12")) == others
    assert not there.heap.keys("11")
    assert audit.counts["events", "deferred", "paused_unauthorized"] == 200


def test_what_waits_too_long_expires(forwarding: Forwarding) -> None:
    """It ends in the DLQ as `expired`, once, and says where it first stood.

    Also where the registry takes its time to tell the schema: that is waited for.
    """
    there = forwarding
    there.connect("acme", "11", Send.HOLD)
    ids = there.publish("acme", 40)
    there.catch_up(**BRIEF)
    time.sleep(1)
    there.connect("acme", "11", Send.ON)
    port = urlsplit(there.world.registry_url).port or 0
    with SlowNetwork(port, speaks_kafka=False) as registry:
        registry.delay_seconds = 0.5
        url = f"http://{registry.address}{urlsplit(there.world.registry_url).path}"
        there.catch_up(
            **BRIEF,
            HEAPLINE_FORWARDER__EXPIRE_AFTER_SECONDS="1",
            HEAPLINE_SCHEMA_REGISTRY__URL=url,
        )
    audit = _audit(there)
    audit.check()
    assert audit.counts["deferred", "dead_lettered", "expired"] == 40
    assert set(audit.dead) == ids
    assert {letter.reason for letter in audit.dead_letters} == {"expired"}
    assert {letter.origin.topic for letter in audit.dead_letters} == {there.topic}
    assert not audit.in_heap


def test_a_change_of_connection_is_in_force_within_a_second(forwarding: Forwarding) -> None:
    """Without a restart, and in both directions; a workspace may also be new."""
    there = forwarding
    expected: set[str] = set()
    with there.forwarder() as process:
        expected |= there.publish("acme", 1)
        wait_until(lambda: set(there.heap.keys("11")) == expected)
        there.connect("acme", "11", Send.OFF)
        skipped = there.publish("globex", 1)
        _wait_for(there, "skipped", 1)
        there.connect("globex", "12")
        delivered, early = _publish_until_delivered(there, "globex", "12")
        skipped |= early | there.publish("acme", 1, first=100)
        _wait_for(there, "skipped", len(skipped))
        there.stop(process)
    audit = _audit(there)
    audit.check(skipped)
    assert set(audit.in_heap) == expected | delivered
    assert audit.counts["events", "skipped", "send_off"] == 1
    assert audit.counts["events", "skipped", "not_connected"] == 1 + len(early)


def _publish_until_delivered(
    there: Forwarding, workspace: str, app_id: str
) -> tuple[set[str], set[str]]:
    """Publish an event a second until one arrives; give its id, and those of the ones before.

    On an idle machine the first arrives; how many a busy one takes is not judged.
    """
    early: set[str] = set()
    for number in range(100, 160):
        time.sleep(1)
        settled = _audit(there).read("events")
        last = there.publish(workspace, 1, first=number)
        wait_until(partial(_settled_more_than, there, settled))
        if last <= set(there.heap.keys(app_id)):
            return last, early
        early |= last
    pytest.fail(f"{workspace} is still not connected")


def _settled_more_than(there: Forwarding, count: int) -> bool:
    return _audit(there).read("events") > count


def test_no_event_is_judged_before_all_connections_are_read(forwarding: Forwarding) -> None:
    """The workspace whose row stands last of thousands is connected from the first event on."""
    there = forwarding
    there.connect_all({f"other-{number}": f"app-{number}" for number in range(4_000)})
    there.connect("last", "99")
    ids = there.publish("last", 200)
    there.catch_up()
    audit = _audit(there)
    audit.check()
    assert set(audit.in_heap) == ids
    assert not audit.total("skipped")
