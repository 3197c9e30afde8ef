"""`python -m bench`: speed and memory of this checkout, on real servers, beside a baseline."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from rich.console import Console

from bench import (
    console_cost,
    console_pages,
    full_speed,
    http_lookups,
    index,
    isolation,
    latency,
    mapping,
    memory,
    pacing,
    publishing,
    segments,
    store,
    throughput,
    transport,
)
from bench.child import counting_heap
from bench.machine import machine
from bench.report import Section
from devstack.progress import ConsoleReporter
from devstack.temporary import temporary_world
from heapline.settings import LogSettings
from heapline.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ALL: Final = (
    "mapping",
    "store",
    "index",
    "http_lookups",
    "transport",
    "console_cost",
    "console_pages",
    "publishing",
    "throughput",
    "full_speed",
    "latency",
    "memory",
    "segments",
    "isolation",
    "pacing",
)
_WITHOUT_WORLD: Final = {"mapping", "store", "index", "http_lookups", "transport"}
_LONG: Final = {"isolation", "pacing"}
"""Minutes each; `--quick` leaves them out."""
_QUICK_EVENTS: Final = 50_000
_QUICK_WAITING: Final = 200_000
_WAITING: Final = 1_000_000
_QUICK_SAMPLES: Final = 50
_SAMPLES: Final = 200
_QUICK_STORE: Final = (100_000, 20)
"""Users, and payloads."""
_QUICK_LOOKUPS: Final = (100_000, 2_000)
"""Users, and requests a question."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure speed and memory on real servers. A missed target is printed, and "
        "does not make the command fail: machines differ. Events that do not arrive do.",
    )
    parser.add_argument("--events", type=int, help="events a round of throughput (200,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of throughput (3)")
    parser.add_argument(
        "--only", choices=ALL, action="append", help="measure this alone; may be repeated"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer events; no isolation or pacing unless named"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or (chosen.events is not None and chosen.events < 1):
        parser.error("--rounds and --events are at least 1")
    if chosen.events is None:
        chosen.events = _QUICK_EVENTS if chosen.quick else 200_000
    return chosen


def measurements(chosen: argparse.Namespace) -> list[str]:
    """Give what to measure, in order."""
    if chosen.only:
        return [name for name in ALL if name in chosen.only]
    return [name for name in ALL if name not in _LONG or not chosen.quick]


def measured(chosen: argparse.Namespace) -> Iterator[Section]:
    """Measure one after the other, on one world."""
    names = measurements(chosen)
    yield machine()
    if "mapping" in names:
        yield _mapping()
    if "store" in names:
        yield store.measure(*(_QUICK_STORE if chosen.quick else ()))
    if "index" in names:
        yield index.measure(_QUICK_LOOKUPS[0] if chosen.quick else index.USERS)
    if "http_lookups" in names:
        yield http_lookups.measure(*(_QUICK_LOOKUPS if chosen.quick else ()))
    if "transport" in names:
        yield transport.measure()
    if _WITHOUT_WORLD.issuperset(names):
        return
    with ExitStack() as running:
        reporter = ConsoleReporter(Console(stderr=True))
        world = running.enter_context(temporary_world(reporter=reporter))
        heap = running.enter_context(counting_heap())
        waiting = _QUICK_WAITING if chosen.quick else _WAITING
        speedy = chosen.events if chosen.quick else full_speed.EVENTS
        samples = _QUICK_SAMPLES if chosen.quick else _SAMPLES
        parts: dict[str, Callable[[], Section]] = {
            "console_cost": lambda: console_cost.measure(world, heap, chosen.events, chosen.rounds),
            "console_pages": lambda: console_pages.measure(
                world, console_pages.QUICK if chosen.quick else console_pages.Scale()
            ),
            "publishing": lambda: publishing.measure(world, publishing.EVENTS, chosen.rounds),
            "throughput": lambda: throughput.measure(world, heap, chosen.events, chosen.rounds),
            "full_speed": lambda: full_speed.measure(world, heap, speedy, chosen.rounds),
            "latency": lambda: latency.measure(world, heap, samples),
            "memory": lambda: memory.measure(world, waiting),
            "segments": lambda: segments.measure(
                world, segments.QUICK if chosen.quick else segments.Scale()
            ),
            "isolation": lambda: isolation.measure(world, max(chosen.rounds, isolation.ROUNDS)),
            "pacing": lambda: pacing.measure(world),
        }
        for name, part in parts.items():
            if name in names:
                yield part()


def _mapping() -> Section:
    """Run the benchmark of gate and mapping, which needs no servers and prints by itself."""
    with redirect_stdout(io.StringIO()) as printed:
        mapping.main()
    lines = printed.getvalue().splitlines()
    return Section("mapping", lines, {"lines": lines})


def report(sections: Iterable[Section], written: Path | None) -> None:
    """Print sections as they come; the figures so far stand in the file after each."""
    figures = {}
    for section in sections:
        print(section.text(), end="\n\n", flush=True)
        figures[section.title] = section.figures
        if written is not None:
            written.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the figures where asked."""
    chosen = parse(arguments)
    configure_logs(LogSettings(level="error"))
    report(measured(chosen), chosen.json)


if __name__ == "__main__":
    main(sys.argv[1:])
