"""How soon an event is at Heap: after a start, and alone on an idle system."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from bench.child import child
from bench.events import USERS, WORKSPACES, event
from bench.installation import UNLIMITED, Installation, wait_until
from bench.report import Section, quantile
from heapline.events import EventPublisher

if TYPE_CHECKING:
    from bench.child import CountingHeap
    from devstack.world import World

_PATIENCE_SECONDS: Final = 30.0
_SETTLING_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 0.1


def measure(world: World, heap: CountingHeap, samples: int) -> Section:
    """Start a forwarder with one event waiting, then publish events one at a time.

    Raises:
        RuntimeError, TimeoutError: an event did not arrive.
    """
    installation = Installation(world, heap.url)
    installation.set_up()
    heap.start_anew()
    with (
        EventPublisher(
            world.bootstrap_servers, world.registry_url, prefix=installation.prefix
        ) as publisher,
        child("bench.forwarding", env=installation.environment(UNLIMITED)) as running,
    ):
        _publish(publisher, 0)
        start_seconds = _arrival(heap, 1) - running.started_at
        time.sleep(_SETTLING_SECONDS)
        lone = [_lone(publisher, heap, number) for number in range(1, samples + 1)]
        running.stop()
    return section(start_seconds, lone)


def _lone(publisher: EventPublisher, heap: CountingHeap, number: int) -> float:
    time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # not in step with the loop
    published_at = time.monotonic()
    _publish(publisher, number)
    return _arrival(heap, number + 1) - published_at


def _publish(publisher: EventPublisher, number: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    publisher.publish_event(event(number, WORKSPACES[number % len(WORKSPACES)], USERS, now_ms))
    publisher.flush(_PATIENCE_SECONDS)


def _arrival(heap: CountingHeap, events: int) -> float:
    """Give the monotonic second at which the last of so many events arrived."""
    patience = wait_until(_PATIENCE_SECONDS, f"event {events} did not arrive")
    while (count := heap.count()).events < events:
        patience.pause()
    return count.last_at


def section(start_seconds: float, lone_seconds: list[float]) -> Section:
    """Write the report."""
    middle, slow = quantile(lone_seconds, 0.5), quantile(lone_seconds, 0.99)
    figures = {
        "start_to_first_delivery_seconds": start_seconds,
        "lone_event_p50_seconds": middle,
        "lone_event_p99_seconds": slow,
        "samples": len(lone_seconds),
    }
    lines = [
        f"from starting the process to its first delivery: {start_seconds:.2f} s",
        f"from publishing a lone event to its arrival, {len(lone_seconds)} times:",
        f"p50 {middle:.3f} s, p99 {slow:.3f} s",
    ]
    return Section("latency", lines, figures)
