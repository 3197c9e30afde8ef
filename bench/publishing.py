"""How fast a service publishes: payloads through `EventPublisher` until the broker has them all.

`python -m bench.publishing --events N` is the process that is measured; settings come from the
environment.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from bench.child import child
from bench.events import events
from bench.installation import Installation
from bench.reading import Reading, peak_resident_bytes
from bench.report import Section, Spread, table
from heapline.events import EventPublisher
from heapline.settings import load_settings

if TYPE_CHECKING:
    from devstack.world import World

EVENTS: Final = 100_000
_LONGEST_SECONDS: Final = 300.0
_NOW_MS: Final = 1_750_000_000_000
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Publishing:
    """What one run came to.

    Attributes:
        first: before the first event; payloads and connection were ready.
        last: every event was acknowledged.
        peak_bytes: the most memory held, all payloads included.
    """

    first: Reading
    last: Reading
    peak_bytes: int


def payloads(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Give workspaces and payloads as a page's event subscriber would hand them on."""
    return [
        (
            event.workspace,
            {
                "name": event.name,
                "user_id": event.user_id,
                "timestamp": event.timestamp_ms,
                "data": orjson.loads(event.properties),
            },
        )
        for event in events(count, now_ms=_NOW_MS)
    ]


def publish(count: int) -> Publishing:
    """Publish so many events."""
    settings = load_settings()
    ready = payloads(count)
    with EventPublisher(
        settings.kafka.bootstrap_servers, settings.schema_registry.url, prefix=settings.kafka.prefix
    ) as publisher:
        first = Reading.now()
        for workspace, payload in ready:
            publisher.publish(payload, workspace)
        publisher.flush(_LONGEST_SECONDS)
        return Publishing(first, Reading.now(), peak_resident_bytes())


def measure(world: World, count: int, rounds: int) -> Section:
    """Run the rounds, each in a process of its own.

    Raises:
        RuntimeError: one failed.
    """
    installation = Installation(world, world.heap_url)
    installation.set_up()
    environment = installation.environment({})
    done = []
    for _ in range(rounds):
        with child("bench.publishing", "--events", str(count), env=environment) as running:
            done.append(running.result(_LONGEST_SECONDS))
    return section(count, done)


def section(count: int, runs: list[dict[str, Any]]) -> Section:
    """Write the report."""
    wall = Spread.of([count / _between(run, "monotonic") for run in runs])
    cpu = Spread.of([count / _between(run, "cpu_seconds") for run in runs])
    peak = Spread.of([run["peak_bytes"] / _MIB for run in runs])
    lines = [
        f"{count:,} payloads through EventPublisher, acknowledged by the broker; one thread",
        "",
        *table(
            [
                ("", "median (least-most)"),
                ("events per second", wall),
                ("events per CPU-second", cpu),
                ("peak memory, MiB (payloads included)", peak),
            ]
        ),
    ]
    figures = {
        "events": count,
        "events_per_second": wall.figures(),
        "events_per_cpu_second": cpu.figures(),
        "peak_mib": peak.figures(),
    }
    return Section("publishing", lines, figures)


def _between(run: dict[str, Any], reading: str) -> float:
    return float(run["last"][reading] - run["first"][reading])


def main() -> None:
    """Publish and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, required=True)
    result = publish(parser.parse_args().events)
    sys.stdout.buffer.write(orjson.dumps(asdict(result)) + b"\n")


if __name__ == "__main__":
    main()
