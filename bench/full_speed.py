"""The forwarder at full speed beside a plain loop, and under what could slow it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.child import counting_heap
from bench.events import events
from bench.installation import Installation
from bench.report import Section, Spread, judged, table
from bench.throughput import Speed, run_baseline, run_forwarder
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.child import CountingHeap
    from devstack.world import World

EVENTS: Final = 1_000_000
RATIO: Final = 3.0
"""Times the plain loop's events per CPU-second."""
GOAL: Final = 250_000
"""Events per CPU-second."""
MEMORY_MB: Final = 380
SLOWER_AT_MOST: Final = 0.75
"""Of the figure without latency, at 200 ms."""
MANY_AT_LEAST: Final = 0.5
"""Of the figure for 50 workspaces, with 5,000."""
MANY: Final = 5_000
_USERS: Final = 20_000
_FEW: Final = tuple(Workspace(f"workspace-{number}") for number in range(50))
_IN_FLIGHT: Final = 8
_SETTINGS: Final = {"HEAPLINE_FORWARDER__REQUESTS_IN_FLIGHT": str(_IN_FLIGHT)}
_PATIENT: Final = {
    **_SETTINGS,
    "HEAPLINE_FORWARDER__LANE_BACKLOG_EVENTS": "100000000",
    "HEAPLINE_FORWARDER__DEFER_AFTER_SECONDS": "3600",
}
"""Reading is faster than sending, and the busiest lane would overflow; deferring is not what is
measured here."""
_REPEAT: Final = 10
_LATENCY_MS: Final = 200.0
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Measured:
    """All runs.

    Attributes:
        forwarder, plain: of the same events, in alternating rounds.
        slow: the forwarder, each answer 200 ms late.
        many: the forwarder, the same number of events of 5,000 workspaces.
    """

    forwarder: Sequence[Speed]
    plain: Sequence[Speed]
    slow: Speed
    many: Speed

    @property
    def ratios(self) -> list[float]:
        """Give how many times the plain loop's events per CPU-second, round by round."""
        pairs = zip(self.forwarder, self.plain, strict=True)
        return [ours.per_cpu_second / theirs.per_cpu_second for ours, theirs in pairs]


def measure(
    world: World, heap: CountingHeap, count: int, rounds: int, many_workspaces: int = MANY
) -> Section:
    """Run everything; who goes first changes from one round to the next.

    Raises:
        RuntimeError: a run failed, or not every event arrived.
    """
    pairs = [_round(world, heap, count, turn) for turn in range(rounds)]
    with counting_heap(_LATENCY_MS) as late:
        slow = run_forwarder(_filled(world, late, _skewed(), count), late, count, _PATIENT)
    everybody = tuple(Workspace(f"workspace-{number}") for number in range(many_workspaces))
    many = run_forwarder(_filled(world, heap, everybody, count), heap, count, _PATIENT)
    forwarder, plain = zip(*pairs, strict=True)
    return section(Measured(forwarder, plain, slow, many))


def _round(world: World, heap: CountingHeap, count: int, turn: int) -> tuple[Speed, Speed]:
    there = _filled(world, heap, _skewed(), count)

    def ours() -> Speed:
        return run_forwarder(there, heap, count, _PATIENT)

    def theirs() -> Speed:
        return run_baseline(there, heap, count, _IN_FLIGHT, "bench.plain_loop")

    if turn % 2:
        plain = theirs()
        return ours(), plain
    return ours(), theirs()


def _skewed() -> tuple[Workspace, ...]:
    """Give workspaces for events in turn: the n-th most busy has a n-th of the busiest's."""
    weights = [1 / rank for rank in range(1, len(_FEW) + 1)]
    return tuple(random.Random(7).choices(_FEW, weights, k=9_973))


def _filled(
    world: World, heap: CountingHeap, workspaces: tuple[Workspace, ...], count: int
) -> Installation:
    installation = Installation(world, heap.url)
    installation.set_up(sorted(set(workspaces)))
    made = events(
        -(-count // _REPEAT),
        now_ms=time.time_ns() // 1_000_000,
        workspaces=workspaces,
        users=_USERS,
    )
    installation.fill(made, _REPEAT)
    return installation


def section(measured: Measured) -> Section:
    """Write the report."""
    ours = Spread.of([speed.per_cpu_second for speed in measured.forwarder])
    plain = Spread.of([speed.per_cpu_second for speed in measured.plain])
    ratio = Spread.of(measured.ratios)
    slow, many = measured.slow.per_cpu_second, measured.many.per_cpu_second
    runs = [*measured.forwarder, measured.slow, measured.many]
    memory = max(speed.peak_bytes for speed in runs) / _MB
    asked = [
        ("events per CPU-second", str(ours), f"goal {GOAL:,}", judged(ours.middle, GOAL)),
        ("the plain loop's", str(plain), "", ""),
        (
            "times the plain loop's",
            f"{ratio.middle:.2f} ({ratio.least:.2f}-{ratio.most:.2f})",
            f">= {RATIO:g}",
            judged(ratio.middle, RATIO),
        ),
        (
            f"with answers {_LATENCY_MS:.0f} ms late",
            f"{slow:,.0f}",
            f">= {SLOWER_AT_MOST:.0%} of that",
            judged(slow, SLOWER_AT_MOST * ours.middle),
        ),
        (
            f"with {MANY:,} workspaces",
            f"{many:,.0f}",
            f">= {MANY_AT_LEAST:.0%} of that",
            judged(many, MANY_AT_LEAST * ours.middle),
        ),
        (
            "peak memory, MB",
            f"{memory:,.0f}",
            f"<= {MEMORY_MB}",
            judged(memory, MEMORY_MB, at_most=True),
        ),
    ]
    lines = [
        (
            f"{measured.forwarder[0].events:,} events, {len(_FEW)} workspaces unevenly, "
            f"{_USERS:,} users, {_IN_FLIGHT} requests in flight; {len(measured.plain)} rounds"
        ),
        "",
        *table([("", "median (least-most)", "target", ""), *asked]),
    ]
    figures = {
        "events_per_cpu_second": ours.figures(),
        "plain_loop": plain.figures(),
        "ratio": {**ratio.figures(), "target": RATIO, "verdict": judged(ratio.middle, RATIO)},
        "with_latency": slow,
        "with_many_workspaces": many,
        "peak_mb": memory,
    }
    return Section("full speed", lines, figures)
