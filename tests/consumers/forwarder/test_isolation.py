"""One workspace's trouble is not another's, in virtual time."""

from __future__ import annotations

import statistics
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from heapline.settings import ForwarderSettings
from tests.fakes.virtual_heap import UNREACHABLE, breaks, for_app, says
from tests.fakes.virtual_world import VirtualWorld, connection, limits

if TYPE_CHECKING:
    from tests.fakes.virtual_heap import Strike

HEALTHY = [f"ws-{number}" for number in range(48)]
DEAD, BUSY = "dead", "busy"
SMALL = limits(per_app=600, per_identity=200)
BUSY_PER_SECOND = 10 * SMALL.events_per_minute_per_app // 60
MINUTES = 3
WARM_SECONDS = 60.0
"""Budgets fill in the first minute; what is measured comes after it."""
DYING = {
    "hangs": breaks(applied=False, seconds=30.0),
    "503": says(503),
    "429": says(429, retry_after=5),
    "unreachable": UNREACHABLE,
    "401": says(401),
}


def delays(strike: Strike | None, *, is_busy: bool) -> list[float]:
    """Give how long each event of the healthy workspaces took, with or without bad neighbours."""
    world = VirtualWorld(
        *map(connection, [*HEALTHY, DEAD, BUSY]), limits=SMALL, partitions=4, seed=3
    )
    if strike is not None:
        world.heap.faults = [for_app(f"app-{DEAD}", strike)]
    began = world.seconds

    def each_second() -> None:
        for number, workspace in enumerate(HEALTHY):
            if (int(world.seconds - began) + number) % 4 == 0:
                world.publish(workspace, 2)
        if strike is not None:
            world.publish(DEAD, 10)
        if is_busy:
            world.publish(BUSY, BUSY_PER_SECOND, users=400)

    world.run(MINUTES * 60, each_second)
    measured = [i for i in world.published if i.startswith("ws-")]
    measured = [i for i in measured if began + WARM_SECONDS < world.published[i]]
    world.run(5)
    world.check()
    return [world.delivered_at[event_id] - world.published[event_id] for event_id in measured]


def p99(seconds: list[float]) -> float:
    """Give the 99th percentile."""
    return statistics.quantiles(seconds, n=100)[98]


@cache
def undisturbed() -> float:
    """Give the p99 without bad neighbours."""
    return p99(delays(None, is_busy=False))


@pytest.mark.parametrize("dying", DYING)
def test_a_dead_and_an_overfull_workspace_cost_the_others_nothing(dying: str) -> None:
    """50 workspaces, one dead, one at ten times its limit: the others' p99 grows by 5 % at most."""
    assert p99(delays(DYING[dying], is_busy=True)) <= 1.05 * undisturbed()


@pytest.mark.parametrize(("events", "window"), [(6_000, 50_000), (20_000, 1_000)])
def test_a_recovered_backlog_drains_at_the_permitted_rate_and_delays_no_one(
    events: int, window: int
) -> None:
    """Minutes of one workspace's events, deferred while it was down, pass the others by.

    Also where they are twenty times what is read ahead, as a million is by default.
    """
    bounds = ForwarderSettings(read_ahead_records=window)
    world = VirtualWorld(
        *map(connection, [*HEALTHY[:10], DEAD]), limits=SMALL, settings=bounds, seed=5
    )
    world.heap.faults = [for_app(f"app-{DEAD}", says(503))]
    backlog = world.publish(DEAD, events, users=400)
    world.run(90)
    assert world.log.outcome("deferred") >= len(backlog)
    world.heap.faults = []
    world.run(WARM_SECONDS * 2)
    began, before = world.seconds, len(world.heap.keys(f"app-{DEAD}"))

    def each_second() -> None:
        for workspace in HEALTHY[:10]:
            world.publish(workspace, 1)

    world.run(240, each_second)
    world.run(2)
    drained = len(world.heap.keys(f"app-{DEAD}")) - before
    assert drained >= 0.98 * SMALL.events_per_minute_per_app * 4
    assert world.heap.statuses[f"app-{DEAD}", 429] == 0
    waits = [world.delivered_at[i] - when for i, when in world.published.items() if when >= began]
    assert p99(waits) <= 1.05 * undisturbed()
    assert len(set(backlog) & set(world.delivered_at)) >= drained
    world.check()


def test_memory_does_not_grow_with_the_backlog() -> None:
    """Three times the events waiting for a dead workspace, and no more held in memory for them."""
    assert _held(30_000) <= 1.05 * _held(10_000)


def _held(events: int) -> int:
    bounds: dict[str, Any] = {"read_ahead_records": 2_000, "lane_backlog_events": 1_000}
    world = VirtualWorld(connection(DEAD), limits=SMALL, settings=ForwarderSettings(**bounds))
    world.heap.faults = [for_app(f"app-{DEAD}", says(503))]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, world.dispatcher.settling.held_bytes)

    for _ in range(events // 1_000):
        world.publish(DEAD, 1_000)
        world.run(5, look)
    world.run(60, look)
    world.check()
    return most
