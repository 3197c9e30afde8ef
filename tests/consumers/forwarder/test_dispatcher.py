"""The forwarder's decisions as a whole, in virtual time: whatever happens, the books balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.heap.connection import Send
from heapline.outcomes import DeadLetterReason
from heapline.settings import ForwarderSettings
from tests.fakes.virtual_heap import UNREACHABLE, breaks, for_app, refuses, says
from tests.fakes.virtual_log import DEFERRED, EVENTS
from tests.fakes.virtual_world import VirtualWorld, connection, limits

if TYPE_CHECKING:
    from tests.fakes.virtual_heap import Strike

HOUR = 3_600.0
DOWN = [
    says(500),
    says(503, retry_after=5),
    says(429, retry_after=5),
    says(500, applied=True),
    says(401),
    says(418),
    breaks(applied=False),
    breaks(applied=True),
    UNREACHABLE,
]
NAMES = ["500", "503", "429", "500-applied", "401", "418", "reset", "reset-applied", "unreachable"]


def world_of(*workspaces: str, **more: Any) -> VirtualWorld:  # noqa: ANN401 -- as `VirtualWorld`
    """Make a world of connected workspaces."""
    return VirtualWorld(*map(connection, workspaces), **more)


@pytest.mark.parametrize("strike", DOWN, ids=NAMES)
def test_an_outage_of_minutes_loses_nothing(strike: Strike) -> None:
    """Whatever Heap says meanwhile, afterwards each event is there once, and the counts agree."""
    world = world_of("a", tick_seconds=2.0)
    world.heap.faults = [for_app("app-a", strike)]
    ids = set()
    for _ in range(3):
        ids |= {*world.publish("a", 50)}
        world.run(60)
    world.heap.faults = []
    world.run(HOUR / 4)
    world.drain()
    world.check()
    assert world.heap.keys("app-a") == ids
    assert world.log.outcome("delivered") == len(ids)
    assert not world.log.dead


def test_an_hour_of_being_down_costs_a_trickle_of_requests() -> None:
    """Probes back off; nobody hammers a dead server."""
    world = world_of("a")
    world.heap.faults = [for_app("app-a", says(503))]
    world.run(HOUR, lambda: world.publish("a", 1))
    assert world.heap.requests["app-a"] < 60


def test_memory_is_bounded_whatever_waits() -> None:
    """Heap is down and far more comes than fits: reading stops short of the bound, not of work."""
    small = ForwarderSettings(
        memory_bytes=8 * 1024 * 1024, read_ahead_records=5_000, lane_backlog_events=2_000
    )
    world = world_of("a", "b", settings=small)
    world.heap.faults = [for_app("app-a", says(503))]
    held = 0

    def look() -> None:
        nonlocal held
        held = max(held, world.dispatcher.settling.held_bytes)

    for _ in range(6):
        world.publish("a", 4_000)
        world.publish("b", 100)
        world.run(15, look)
    world.run(45, look)
    one_read = 1_000 * 2_000
    assert held <= small.memory_bytes + one_read
    assert len(world.dispatcher.window) <= 5_000 + 1_000
    assert len(world.heap.keys("app-b")) == 600, "the other workspace is served meanwhile"
    world.check()


def test_poison_goes_to_the_dlq_and_nothing_else_does() -> None:
    """One refused event among hundreds is found; the others arrive, each once."""
    world = world_of("a")
    ids = world.publish("a", 300)
    world.heap.faults = [refuses(ids[17], ids[250])]
    world.drain()
    world.check()
    assert {event_id for _, event_id, _ in world.log.dead} == {ids[17], ids[250]}
    assert {reason for _, _, reason in world.log.dead} == {DeadLetterReason.REJECTED_BY_HEAP}
    assert world.heap.keys("app-a") == set(ids) - {ids[17], ids[250]}


def test_where_most_is_poison_the_workspace_waits_for_a_person() -> None:
    """Nothing is dead-lettered; a changed connection sends all of it."""
    world = world_of("a")
    ids = world.publish("a", 300)
    world.heap.faults = [for_app("app-a", says(400))]
    world.run(120)
    assert not world.log.dead
    assert world.log.deferred_reasons["paused_misconfigured"] == 300
    world.heap.faults = []
    world.connections.put(connection("a", "app-right"))
    world.run(2 * HOUR)
    world.check()
    assert world.heap.keys("app-right") == set(ids)


def test_a_flood_of_dead_letters_pauses_the_workspace() -> None:
    """Beyond the bound the records wait; the fault lies upstream, not in them."""
    world = world_of("a", settings=ForwarderSettings(dead_letters_per_minute=20))
    for _ in range(100):
        world.publish_raw(b"a", b"\x00\x00\x00\x00\x07garbage", world.home("a"))
    world.run(5)
    assert len(world.log.dead) == 20
    assert world.log.deferred_reasons["paused_dead_letters"] == 80


def test_what_waits_too_long_expires_with_its_name() -> None:
    """After the days that are set, as a dead letter that says where it first stood."""
    short = ForwarderSettings(expire_after_seconds=HOUR, deferral_max_seconds=600)
    world = world_of("a", settings=short)
    world.connections.put(connection("a", send=Send.HOLD))
    ids = world.publish("a", 30)
    world.run(2 * HOUR)
    world.check()
    assert [reason for _, _, reason in world.log.dead] == [DeadLetterReason.EXPIRED] * 30
    assert {event_id for _, event_id, _ in world.log.dead} == set(ids)
    assert all(origin.startswith(f"{EVENTS}/") for origin, _, _ in world.log.dead)


def test_a_handover_in_good_order_delivers_nothing_twice() -> None:
    """What is in flight is finished and written down before another owner begins."""
    world = world_of("a", "b", partitions=2)
    ids = {*world.publish("a", 400), *world.publish("b", 400)}
    world.run(0.3)
    for turn in range(6):
        world.revoke([turn % 2])
        world.run(0.7)
        world.assign([turn % 2])
        world.run(0.7)
    world.run(60)
    world.drain()
    world.check()
    assert world.heap.keys("app-a") | world.heap.keys("app-b") == ids
    duplicates = sum(world.heap.ledger.account(f"app-{w}").duplicates for w in "ab")
    assert duplicates == 0


OPERATIONS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from("abc"), st.integers(1, 120)),
    st.tuples(st.just("wait"), st.floats(0.05, 90.0)),
    st.tuples(st.just("strike"), st.sampled_from("abc"), st.sampled_from(DOWN)),
    st.tuples(st.just("heal")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("lose"), st.integers(0, 1)),
    st.tuples(st.just("revoke"), st.integers(0, 1)),
    st.tuples(st.just("send"), st.sampled_from("abc"), st.sampled_from([Send.ON, Send.HOLD])),
)


def _do(world: VirtualWorld, operation: tuple[Any, ...]) -> None:
    match operation:
        case ("publish", workspace, events):
            world.publish(workspace, events)
        case ("wait", seconds):
            world.run(seconds)
        case ("strike", workspace, strike):
            world.heap.faults.append(for_app(f"app-{workspace}", strike))
        case ("heal",):
            world.heap.faults = []
        case ("crash",):
            world.start()
        case ("lose", number):
            world.lose([number])
            world.run(1.0)
            world.assign([number])
        case ("revoke", number):
            world.revoke([number])
            world.run(1.0)
            world.assign([number])
        case ("send", workspace, send):
            world.connections.put(connection(workspace, send=send))


@settings(max_examples=25, deadline=None)
@given(st.lists(OPERATIONS, max_size=25), st.integers(0, 2**16))
def test_any_history_ends_with_every_event_in_heap_once(
    history: list[tuple[Any, ...]], seed: int
) -> None:
    """Crashes, handovers, faults and switches in any order: all arrives, all is counted."""
    world = world_of("a", "b", "c", partitions=2, seed=seed, limits=limits(per_app=6_000))
    for operation in history:
        _do(world, operation)
        world.check()
    world.heap.faults = []
    for workspace in "abc":
        world.connections.put(connection(workspace))
    world.run(HOUR)
    world.drain()
    world.check()
    in_heap = set().union(*(world.heap.keys(f"app-{w}") for w in "abc"))
    assert in_heap == set(world.published)
    assert not world.log.unread(EVENTS)
    assert not world.log.unread(DEFERRED)
    assert sum(world.heap.ledger.account(f"app-{w}").conflicting_duplicates for w in "abc") == 0
