"""What the console costs the forwarder: the same events with and without somebody who looks."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Final

from bench.console_pages import loaded, served
from bench.events import WORKSPACES, events
from bench.installation import Installation
from bench.report import Section, Spread, table
from bench.throughput import run_forwarder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.child import CountingHeap
    from bench.throughput import Speed
    from devstack.world import World

_LOOK_EVERY_SECONDS: Final = 0.5
"""As a person does who looks at a page that renews itself, and a second one beside."""
_PATHS: Final = ("/delivery", f"/console/{WORKSPACES[0]}/delivery", f"/console/{WORKSPACES[0]}")


def measure(world: World, heap: CountingHeap, count: int, rounds: int) -> Section:
    """Forward so many events alone and beside a console by turns.

    Raises:
        RuntimeError: a run failed, not every event arrived, or a page was no 200.
    """
    alone: list[Speed] = []
    beside: list[Speed] = []
    looks = 0
    for turn in range(2 * rounds):
        installation = Installation(world, heap.url)
        installation.set_up()
        installation.fill(events(count, now_ms=time.time_ns() // 1_000_000))
        if turn % 4 in {0, 3}:
            alone.append(run_forwarder(installation, heap, count))
        else:
            with _looked_at(installation) as seen:
                beside.append(run_forwarder(installation, heap, count))
            looks += len(seen)
    return section(alone, beside, looks)


@contextmanager
def _looked_at(installation: Installation) -> Iterator[list[float]]:
    """Serve the console in a process of its own, and look at it again and again."""
    over = Event()
    seen: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder,
        served(installation, {"HEAPLINE_STATE__DIRECTORY": folder}) as port,
        ThreadPoolExecutor(1) as pool,
    ):
        looking = pool.submit(_look, port, over, seen)
        try:
            yield seen
        finally:
            over.set()
        looking.result()


def _look(port: int, over: Event, seen: list[float]) -> None:
    while not over.wait(_LOOK_EVERY_SECONDS):
        for path in _PATHS:
            seen += loaded(port, path, 1)


def section(alone: Sequence[Speed], beside: Sequence[Speed], looks: int) -> Section:
    """Write the report."""
    rows = []
    figures: dict[str, object] = {"pages_shown": looks}
    for name, runs in (("alone", alone), ("while the console is looked at", beside)):
        cpu = Spread.of([1e6 * run.cpu / run.events for run in runs])
        figures[name] = cpu.figures()
        rows.append((name, f"{cpu.middle:.1f} ({cpu.least:.1f}-{cpu.most:.1f})"))
    lines = [
        (
            f"{alone[0].events:,} events a run, {len(alone)} runs each by turns; the forwarder's "
            f"processor time an event, microseconds; {looks} pages shown meanwhile"
        ),
        *table([("", "median (least-most)"), *rows]),
    ]
    return Section("console_cost", lines, figures)
