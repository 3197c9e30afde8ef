"""What one dead and one overfull workspace cost 48 others, for real, in alternating rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from bench.child import child
from bench.events import event
from bench.installation import Installation, app_id, wait_until
from bench.report import Section, Spread, quantile, table
from devstack.heap_simulator import SimulatorClient
from devstack.heap_simulator.faults import Hang
from heapline.kafka.clients import producer_config
from heapline.kafka.topics import EVENTS
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from devstack.world import World

ROUNDS: Final = 5
TARGET: Final = 1.5
"""Times the p99 without bad neighbours."""
_HEALTHY: Final = tuple(Workspace(f"healthy-{number}") for number in range(48))
_DEAD, _BUSY = Workspace("dead"), Workspace("busy")
_TICK_SECONDS: Final = 0.1
_TURNS: Final = 5
"""A healthy workspace publishes one event every so many ticks."""
_PER_APP: Final = 1_500
"""A minute; a tenth of Heap's own, so that the machine's speed plays no part."""
_BUSY_PER_TICK: Final = 25
"""250 a second: ten times what is permitted one app."""
_SETTINGS: Final = {
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": str(_PER_APP),
    "HEAPLINE_HEAP__TIMEOUT_SECONDS": "5",
    "HEAPLINE_FORWARDER__DEFER_AFTER_SECONDS": "5",
    "HEAPLINE_FORWARDER__UNAVAILABLE_AFTER_SECONDS": "5",
    "HEAPLINE_FORWARDER__PROBE_INITIAL_SECONDS": "5",
}
"""Besides the limit, all that takes half a minute by default: a round sees the bad ones time out,
pause, be deferred, come back and be probed, as they would for hours."""
_WARM_SECONDS: Final = 15.0
_MEASURED_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 120.0
_USERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Round:
    """One pair: p99 and median delay of the healthy, without and with bad neighbours."""

    quiet_p99: float
    quiet_p50: float
    disturbed_p99: float
    disturbed_p50: float

    @property
    def ratio(self) -> float:
        """How many times slower the slowest hundredth became."""
        return self.disturbed_p99 / self.quiet_p99


def measure(world: World, rounds: int = ROUNDS) -> Section:
    """Measure, quiet and disturbed in turn.

    Raises:
        RuntimeError, TimeoutError: the forwarder failed, or an event did not arrive.
    """
    found = []
    for _ in range(rounds):
        quiet = _delays(world, disturbed=False)
        disturbed = _delays(world, disturbed=True)
        found.append(
            Round(
                quantile(quiet, 0.99),
                quantile(quiet, 0.5),
                quantile(disturbed, 0.99),
                quantile(disturbed, 0.5),
            )
        )
    return section(found)


def _delays(world: World, *, disturbed: bool) -> list[float]:
    """Give the seconds from publishing to arrival of every measured event."""
    installation = Installation(world, world.heap_url)
    names = installation.set_up((*_HEALTHY, _DEAD, _BUSY))
    heap = SimulatorClient(world.heap_url)
    heap.reset()
    true_limit = heap.limits().events_per_minute_per_app
    heap.change_limits(events_per_minute_per_app=_PER_APP)
    heap.faults(Hang(app_id=app_id(len(_HEALTHY))))
    topic, encoder = names.topic(EVENTS), installation.encoder()
    producer = Producer(producer_config(installation.settings.kafka, "bench"))
    numbers = count()

    def publish(workspace: Workspace) -> tuple[str, int]:
        made = event(next(numbers), workspace, _USERS, time.time_ns() // 1_000_000)
        producer.produce(topic, key=workspace.encode(), value=encoder.encode(made.to_record()))
        producer.poll(0)
        return str(made.event_id), made.timestamp_ms

    try:
        with child("bench.forwarding", env=installation.environment(_SETTINGS)) as running:
            first = dict(map(publish, _HEALTHY))
            _wait_for(heap, first)  # however long the forwarder takes to start
            published = _run(publish, disturbed=disturbed)
            producer.flush(10)
            arrived = _wait_for(heap, published)
            running.process.kill()  # the dead app's requests would hold up an orderly end
    finally:
        heap.clear_faults()
        heap.change_limits(events_per_minute_per_app=true_limit)
    return [(arrived[each] - at_ms) / 1_000 for each, at_ms in published.items()]


def _run(publish: Callable[[Workspace], tuple[str, int]], *, disturbed: bool) -> dict[str, int]:
    """Publish at steady rates; give the measured events with the time of each."""
    began = time.monotonic()
    published: dict[str, int] = {}
    for tick in count():
        due = began + tick * _TICK_SECONDS
        if due - began > _WARM_SECONDS + _MEASURED_SECONDS:
            return published
        time.sleep(max(0.0, due - time.monotonic()))
        made = [publish(each) for each in _HEALTHY[tick % _TURNS :: _TURNS]]
        if due - began > _WARM_SECONDS:
            published.update(made)
        if disturbed:
            publish(_DEAD)
            for _ in range(_BUSY_PER_TICK):
                publish(_BUSY)
    raise AssertionError("counting never ends")


def _wait_for(heap: SimulatorClient, published: Mapping[str, int]) -> dict[str, int]:
    patience = wait_until(_PATIENCE_SECONDS, "not all events of healthy workspaces arrived")
    while published.keys() - (arrived := _arrivals(heap)).keys():
        patience.pause()
    return arrived


def _arrivals(heap: SimulatorClient) -> dict[str, int]:
    return {
        each["idempotency_key"]: each["received_at_ms"]
        for number in range(len(_HEALTHY))
        for each in heap.events(app_id(number))
        if "received_at_ms" in each
    }


def section(rounds: Sequence[Round]) -> Section:
    """Write the report."""
    ratio = Spread.of([each.ratio for each in rounds])
    lines = [
        f"{len(_HEALTHY)} workspaces, 2 events/s each, beside one whose Heap never answers and one",
        f"that publishes at ten times its limit of {_PER_APP:,} a minute; delay from publishing",
        "to Heap, alternating; times out, pauses and defers after 5 s instead of 30:",
        "",
        *table(
            [
                (
                    "seconds",
                    "p50 alone",
                    "p99 alone",
                    "p50 beside them",
                    "p99 beside them",
                    "p99 grows",
                ),
                *(
                    (
                        f"round {number}",
                        f"{each.quiet_p50:.3f}",
                        f"{each.quiet_p99:.3f}",
                        f"{each.disturbed_p50:.3f}",
                        f"{each.disturbed_p99:.3f}",
                        f"{each.ratio:.2f}",
                    )
                    for number, each in enumerate(rounds, 1)
                ),
            ]
        ),
        "",
        f"p99 grows {ratio.middle:.2f} times (median; {ratio.least:.2f}-{ratio.most:.2f})",
        f"target {TARGET}: {'met' if ratio.middle <= TARGET else 'MISSED'}",
    ]
    figures = {
        "p99_ratio": ratio.figures(),
        "rounds": [[r.quiet_p99, r.disturbed_p99] for r in rounds],
    }
    return Section("isolation", lines, figures)
