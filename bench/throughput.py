"""Events a second from Kafka to an HTTP server, beside one request per event."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.child import child
from bench.events import events
from bench.installation import UNLIMITED, Installation
from bench.report import Section, Spread, judged, table
from heapline.settings import ForwarderSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.child import CountingHeap
    from bench.counting_server import Count
    from devstack.world import World

TARGET: Final = 40.0
BASELINE_EVENTS: Final = 5_000
IN_FLIGHT: Final = ForwarderSettings().requests_in_flight
_COLUMNS: Final = (
    "forwarder",
    f"baseline, {IN_FLIGHT} at a time",
    "baseline, one at a time",
    "the same by the forwarder's transport",
)
_LONGEST_SECONDS: Final = 600.0
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one run was.

    Attributes:
        events: delivered.
        requests: it took.
        wall, cpu: seconds from the first event to the last answer (forwarder: to the checkpoint).
        total_wall, total_cpu: seconds from the start of the process to its end.
        startup_wall, startup_cpu: seconds before the first event: imports, joining the group.
        peak_bytes: the most memory the process held.
    """

    events: int
    requests: int
    wall: float
    cpu: float
    total_wall: float
    total_cpu: float
    startup_wall: float
    startup_cpu: float
    peak_bytes: int

    @property
    def per_cpu_second(self) -> float:
        """Events per second of processor time, without start-up."""
        return self.events / self.cpu

    @property
    def per_cpu_second_in_all(self) -> float:
        """Events per second of processor time, everything included."""
        return self.events / self.total_cpu

    @property
    def per_second(self) -> float:
        """Events per second on the clock, without start-up."""
        return self.events / self.wall


def speed(run: dict[str, Any], started_at: float, events: int, requests: int) -> Speed:
    """Make it from what a child printed, which was started at that monotonic second."""
    first, last, ended = run["first"], run["last"], run["ended"]
    return Speed(
        events,
        requests,
        wall=last["monotonic"] - first["monotonic"],
        cpu=last["cpu_seconds"] - first["cpu_seconds"],
        total_wall=ended["monotonic"] - started_at,
        total_cpu=ended["cpu_seconds"],
        startup_wall=first["monotonic"] - started_at,
        startup_cpu=first["cpu_seconds"],
        peak_bytes=run["peak_bytes"],
    )


@dataclass(frozen=True, slots=True)
class Round:
    """The runs of one round, one after the other, on the same events.

    Attributes:
        forwarder: the product.
        alike: the baseline with as many requests in flight as the forwarder may have.
        lone: the baseline with one request at a time. It spends the least processor time a request
            can take, but waits for each answer: at Heap's 100 ms it would send ten events a second.
        lean: the same, sent by the forwarder's transport instead of httpx's own.
    """

    forwarder: Speed
    alike: Speed
    lone: Speed
    lean: Speed

    def ratio(self, baseline: Speed) -> float:
        """Give how many times the baseline's events per processor second the forwarder has."""
        return self.forwarder.per_cpu_second / baseline.per_cpu_second

    def strict_ratio(self, baseline: Speed) -> float:
        """Give it with the forwarder's start-up and end charged, and none of the baseline's."""
        return self.forwarder.per_cpu_second_in_all / baseline.per_cpu_second


def measure(world: World, heap: CountingHeap, count: int, rounds: int) -> Section:
    """Run the rounds; who goes first changes from one to the next.

    Raises:
        RuntimeError: a run failed, or not every event arrived.
    """
    done = [_round(world, heap, count, turn) for turn in range(rounds)]
    return section(done)


def _round(world: World, heap: CountingHeap, count: int, turn: int) -> Round:
    installation = Installation(world, heap.url)
    installation.set_up()
    installation.fill(events(count, now_ms=time.time_ns() // 1_000_000))
    few = min(BASELINE_EVENTS, count)
    runs: dict[str, Callable[[], Speed]] = {
        "forwarder": lambda: run_forwarder(installation, heap, count),
        "alike": lambda: run_baseline(installation, heap, few, IN_FLIGHT),
        "lone": lambda: run_baseline(installation, heap, few, 1),
        "lean": lambda: run_baseline(installation, heap, few, 1, "bench.lean_baseline"),
    }
    order = list(runs)[turn % len(runs) :] + list(runs)[: turn % len(runs)]
    return Round(**{name: runs[name]() for name in order})


def run_forwarder(
    installation: Installation,
    heap: CountingHeap,
    count: int,
    more: Mapping[str, str] | None = None,
) -> Speed:
    """Forward everything there is, with `more` settings by environment variable.

    Raises:
        RuntimeError: it failed, or what arrived is not exactly the events there are.
    """
    heap.start_anew()
    arguments = ("bench.forwarding", "--until-caught-up")
    env = installation.environment({**UNLIMITED, **(more or {})})
    with child(*arguments, env=env) as running:
        run = running.result(_LONGEST_SECONDS)
    arrived = heap.count()
    if run["outcomes"] != {"delivered": count}:
        raise RuntimeError(f"of {count:,} events: {run['outcomes']}")
    _check(arrived, count)
    return speed(run, running.started_at, count, arrived.requests)


def run_baseline(
    installation: Installation,
    heap: CountingHeap,
    count: int,
    in_flight: int,
    module: str = "bench.baseline",
) -> Speed:
    """Send so many events in a request each, or as another module of the benchmark does it.

    Raises:
        RuntimeError: as `run_forwarder`.
    """
    heap.start_anew()
    arguments = (module, "--events", str(count), "--in-flight", str(in_flight))
    with child(*arguments, env=installation.environment(UNLIMITED)) as running:
        run = running.result(_LONGEST_SECONDS)
    arrived = heap.count()
    if run["refused"] or run["events"] != count:
        raise RuntimeError(f"{run['events']:,} sent, {run['refused']:,} refused")
    _check(arrived, count)
    return speed(run, running.started_at, count, arrived.requests)


def _check(arrived: Count, expected: int) -> None:
    if (arrived.events, arrived.distinct, arrived.unreadable) != (expected, expected, 0):
        raise RuntimeError(f"{expected:,} events should have arrived, it was {arrived}")


def section(rounds: Sequence[Round]) -> Section:
    """Write the report."""
    forwarder, alike, lone, lean = (
        [round_.forwarder for round_ in rounds],
        [round_.alike for round_ in rounds],
        [round_.lone for round_ in rounds],
        [round_.lean for round_ in rounds],
    )
    ratios = {
        f"{IN_FLIGHT} in flight, as the forwarder": _ratios(rounds, lambda r: r.alike),
        "one at a time": _ratios(rounds, lambda r: r.lone),
        "one at a time by the forwarder's transport": _ratios(rounds, lambda r: r.lean),
    }
    each = [_row(number, round_) for number, round_ in enumerate(rounds, 1)]
    medians = [
        (label, *(_spread(runs, of, form) for runs in (forwarder, alike, lone, lean)))
        for label, of, form in _FIGURES
    ]
    lines = [
        f"{forwarder[0].events:,} events from Kafka to a counting HTTP server in another process;",
        f"baseline: {lone[0].events:,} events, one per request, with httpx",
        "",
        *table([("events per CPU-second", *_COLUMNS), *each]),
        "",
        *table([("median (least-most)", *_COLUMNS), *medians]),
        "",
        f"times the baseline's events per CPU-second, target {TARGET:.0f}:",
        *table([(how, *_judgement(*both)) for how, both in ratios.items()]),
    ]
    figures = {
        "target": TARGET,
        "ratios": {
            how: {
                "ratio": ratio.figures(),
                "with_start_up": strict.figures(),
                "verdict": judged(ratio.middle, TARGET),
            }
            for how, (ratio, strict) in ratios.items()
        },
        "forwarder": _plain(forwarder),
        "baseline_alike": _plain(alike),
        "baseline_lone": _plain(lone),
        "baseline_lean": _plain(lean),
    }
    return Section("throughput", lines, figures)


def _row(number: int, round_: Round) -> tuple[str, ...]:
    speeds = (round_.forwarder, round_.alike, round_.lone, round_.lean)
    return (f"round {number}", *(f"{speed.per_cpu_second:,.0f}" for speed in speeds))


def _ratios(rounds: Sequence[Round], baseline: Callable[[Round], Speed]) -> tuple[Spread, Spread]:
    return (
        Spread.of([round_.ratio(baseline(round_)) for round_ in rounds]),
        Spread.of([round_.strict_ratio(baseline(round_)) for round_ in rounds]),
    )


def _judgement(ratio: Spread, strict: Spread) -> tuple[str, ...]:
    return (
        f"{ratio.middle:.1f} ({ratio.least:.1f}-{ratio.most:.1f})",
        judged(ratio.middle, TARGET),
        f"with start-up and end: {strict.middle:.1f}",
    )


_FIGURES: Final[tuple[tuple[str, Callable[[Speed], float], str], ...]] = (
    ("events per CPU-second", lambda s: s.per_cpu_second, ",.0f"),
    ("events per CPU-second, start-up included", lambda s: s.per_cpu_second_in_all, ",.0f"),
    ("events per second", lambda s: s.per_second, ",.0f"),
    ("CPU microseconds per event", lambda s: 1e6 / s.per_cpu_second, ",.1f"),
    ("requests", lambda s: s.requests, ",.0f"),
    ("events per request", lambda s: s.events / s.requests, ",.1f"),
    ("peak memory, MiB", lambda s: s.peak_bytes / _MIB, ",.0f"),
    ("start-up, seconds", lambda s: s.startup_wall, ",.2f"),
    ("start-up, CPU-seconds", lambda s: s.startup_cpu, ",.2f"),
    ("whole process, seconds", lambda s: s.total_wall, ",.2f"),
)


def _spread(runs: Sequence[Speed], of: Callable[[Speed], float], form: str) -> str:
    spread = Spread.of([of(run) for run in runs])
    return f"{spread.middle:{form}} ({spread.least:{form}}-{spread.most:{form}})"


def _plain(runs: Sequence[Speed]) -> dict[str, dict[str, float]]:
    return {label: Spread.of([of(r) for r in runs]).figures() for label, of, _ in _FIGURES}
