"""How soon an event is at Heap: after a start, and alone on an idle system."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from bench.child import child, compile_modules
from bench.events import USERS, WORKSPACES, event
from bench.installation import UNLIMITED, Installation, wait_until
from bench.report import Section, Spread, quantile
from heapline.events import EventPublisher

if TYPE_CHECKING:
    from bench.child import CountingHeap
    from devstack.world import World

STARTS: Final = 5
_PATIENCE_SECONDS: Final = 30.0
_SETTLING_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 0.1


def measure(world: World, heap: CountingHeap, samples: int, starts: int = STARTS) -> Section:
    """Start forwarders with one event waiting, then publish events one at a time.

    Raises:
        RuntimeError, TimeoutError: an event did not arrive.
    """
    installation = Installation(world, heap.url)
    installation.set_up()
    compile_modules()
    with EventPublisher(
        world.bootstrap_servers, world.registry_url, prefix=installation.prefix
    ) as publisher:
        started = [_start(installation, publisher, heap) for _ in range(starts)]
        lone = _alone(installation, publisher, heap, samples)
    return section(Spread.of(started), lone)


def _start(installation: Installation, publisher: EventPublisher, heap: CountingHeap) -> float:
    """Give the seconds from starting a process to its first delivery."""
    heap.start_anew()
    with child("bench.forwarding", env=installation.environment(UNLIMITED)) as running:
        _publish(publisher, 0)
        seconds = _arrival(heap, 1) - running.started_at
        running.stop()
    return seconds


def _alone(
    installation: Installation, publisher: EventPublisher, heap: CountingHeap, samples: int
) -> list[float]:
    """Give the seconds that lone events take."""
    heap.start_anew()
    with child("bench.forwarding", env=installation.environment(UNLIMITED)) as running:
        _publish(publisher, 0)
        _arrival(heap, 1)
        time.sleep(_SETTLING_SECONDS)
        lone = [_lone(publisher, heap, number) for number in range(1, samples + 1)]
        running.stop()
    return lone


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


def section(start_seconds: Spread, lone_seconds: list[float]) -> Section:
    """Write the report."""
    middle, slow = quantile(lone_seconds, 0.5), quantile(lone_seconds, 0.99)
    figures = {
        "start_to_first_delivery_seconds": start_seconds.figures(),
        "lone_event_p50_seconds": middle,
        "lone_event_p99_seconds": slow,
        "samples": len(lone_seconds),
    }
    lines = [
        "from starting the process to its first delivery, median (least to most):",
        f"{start_seconds.middle:.2f} s ({start_seconds.least:.2f} to {start_seconds.most:.2f})",
        f"from publishing a lone event to its arrival, {len(lone_seconds)} times:",
        f"p50 {middle:.3f} s, p99 {slow:.3f} s",
    ]
    return Section("latency", lines, figures)
