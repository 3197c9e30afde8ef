"""What a forwarder holds in memory while events pile up and Heap is down."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.child import child
from bench.events import events
from bench.full_speed import MEMORY_MB
from bench.installation import UNLIMITED, Installation
from bench.report import Section, judged, table
from devstack.heap_simulator import SimulatorClient
from devstack.heap_simulator.faults import Status
from heapline.settings import ForwarderSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from devstack.world import World

_MADE: Final = 20_000
_LONGEST_SECONDS: Final = 900.0
_HOLDING_SECONDS: Final = 25.0
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """One way of being down.

    Attributes:
        how: in words.
        seconds: until every event was deferred.
        idle_bytes: of the process before the first event.
        deferring_bytes: most memory until every event was deferred.
        holding_bytes: most memory of a second forwarder, which finds all of them deferred.
        outcomes: of the first forwarder.
    """

    how: str
    seconds: float
    idle_bytes: int
    deferring_bytes: int
    holding_bytes: int
    outcomes: dict[str, int]


def measure(world: World, count: int) -> Section:
    """Let events pile up, first with every request refused, then with none answered.

    Raises:
        RuntimeError: a forwarder failed, or not every event was deferred.
    """
    ways: list[tuple[str, Callable[[World], AbstractContextManager[None]]]] = [
        ("503 to every request", _refusing),
        ("no answer at all", _hanging),
    ]
    return section(count, [_held(world, count, how, down) for how, down in ways])


def _held(
    world: World, count: int, how: str, down: Callable[[World], AbstractContextManager[None]]
) -> Held:
    installation = Installation(world, world.heap_url)
    installation.set_up()
    made = min(_MADE, count)
    filled = installation.fill(events(made, now_ms=time.time_ns() // 1_000_000), count // made)
    environment = installation.environment(UNLIMITED)
    with down(world):
        with child("bench.forwarding", "--until-caught-up", env=environment) as deferring:
            first = deferring.result(_LONGEST_SECONDS)
        with child("bench.forwarding", env=environment) as holding:
            time.sleep(_HOLDING_SECONDS)
            second = holding.stop()
    _check(first["outcomes"], first["deferred_again"], filled)
    return Held(
        how,
        first["last"]["monotonic"] - deferring.started_at,
        first["idle_bytes"],
        first["peak_bytes"],
        second["peak_bytes"],
        first["outcomes"],
    )


def _check(outcomes: dict[str, int], again: int, filled: int) -> None:
    deferred = sum(n for kind, n in outcomes.items() if kind.startswith("deferred"))
    if deferred - again != filled or len([kind for kind in outcomes if kind.startswith("d")]) == 0:
        raise RuntimeError(f"of {filled:,} events while Heap was down: {outcomes}, {again:,} again")


@contextmanager
def _refusing(world: World) -> Iterator[None]:
    heap = SimulatorClient(world.heap_url)
    heap.faults(Status(status=503))
    try:
        yield
    finally:
        heap.clear_faults()


@contextmanager
def _hanging(world: World) -> Iterator[None]:
    world.heap.pause()
    try:
        yield
    finally:
        world.heap.resume()


def section(count: int, ways: list[Held]) -> Section:
    """Write the report."""
    bound = ForwarderSettings().memory_bytes
    most = max(max(held.deferring_bytes, held.holding_bytes) for held in ways)
    lines = [
        f"{count:,} events waiting and Heap down; HEAPLINE_FORWARDER__MEMORY_BYTES as it comes:",
        f"{bound // 2**20} MiB of records",
        "",
        *table(
            [
                ("peak memory, MB", "before", "deferring", "holding", "seconds to defer all"),
                *(
                    (
                        held.how,
                        held.idle_bytes // _MB,
                        held.deferring_bytes // _MB,
                        held.holding_bytes // _MB,
                        f"{held.seconds:.0f}",
                    )
                    for held in ways
                ),
            ]
        ),
        "",
        f"at most {MEMORY_MB} MB: {judged(most, MEMORY_MB * _MB, at_most=True)}",
        "holding: another forwarder, which starts with all of them deferred and Heap still down",
    ]
    figures: dict[str, Any] = {
        "events": count,
        "bound_bytes": bound,
        "ways": {
            held.how: {
                "idle_bytes": held.idle_bytes,
                "deferring_bytes": held.deferring_bytes,
                "holding_bytes": held.holding_bytes,
                "seconds": held.seconds,
                "outcomes": held.outcomes,
            }
            for held in ways
        },
    }
    return Section("memory", lines, figures)
