"""Heap's true limits, kept for minutes against the simulator: how near, and never over."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING, Final

from bench.child import child
from bench.events import event, events
from bench.installation import Installation, app_id
from bench.report import Section, judged, table
from devstack.heap_simulator import SimulatorClient
from heapline.words import UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devstack.heap_simulator.reports import LedgerReport
    from devstack.world import World
    from heapline.events.model import Event

APP_LIMIT: Final = 15_000
IDENTITY_LIMIT: Final = 1_000
"""Events a minute (Heap, Bulk Track reference)."""
TARGET: Final = 0.98
SECONDS: Final = 190.0
"""How long the forwarder runs: start-up, its first minute, in which budgets fill, and two more."""
_MINUTE_MS: Final = 60_000
_SECOND_MS: Final = 1_000
_STEADY: Final = (Workspace("steady-0"), Workspace("steady-1"))
_STEADY_EVENTS: Final = 60_000
"""Of each steady workspace; more than four minutes' worth, so that the limit binds to the end."""
_HOT: Final = Workspace("hot")
_HOT_USER: Final = UserId("busy@example.com")
_HOT_EVENTS: Final = 40_000
_OTHERS_EVERY: Final = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """Events that arrived together.

    Attributes:
        at_ms: milliseconds since 1970-01-01 UTC.
        events: how many.
    """

    at_ms: int
    events: int


def windows(arrivals: Sequence[Arrival]) -> list[int]:
    """Give how many events each minute held that began a whole second after the first minute.

    Minutes that had not ended by the last arrival are left out. Heap's limits hold for every
    minute, and traffic at a limit repeats itself every minute: so their mean is the rate, however
    the events lie within a minute.
    """
    if not arrivals:
        return []
    ordered = sorted(arrivals, key=lambda arrival: arrival.at_ms)
    first, last = ordered[0].at_ms, ordered[-1].at_ms
    starts = range(first + _MINUTE_MS, last - _MINUTE_MS + 1, _SECOND_MS)
    return [
        sum(a.events for a in ordered if start <= a.at_ms < start + _MINUTE_MS) for start in starts
    ]


@dataclass(frozen=True, slots=True)
class Paced:
    """How one app, or one identity, was served.

    Attributes:
        who: a name for the report.
        permitted: events a minute.
        windows: events in each minute after the first, see `windows`.
        most_in_a_minute: the most in any 60 seconds, by Heap's count.
    """

    who: str
    permitted: int
    windows: Sequence[int]
    most_in_a_minute: int

    @property
    def achieved(self) -> float:
        """Events a minute after the first minute."""
        return fmean(self.windows) if self.windows else 0.0

    @property
    def share(self) -> float:
        """How much of what is permitted was used."""
        return self.achieved / self.permitted


def measure(world: World, seconds: float = SECONDS) -> Section:
    """Run a forwarder with more than enough to send for about three minutes.

    Raises:
        RuntimeError: it failed.
    """
    installation = Installation(world, world.heap_url)
    installation.set_up((*_STEADY, _HOT))
    now_ms = time.time_ns() // 1_000_000
    steady = events(len(_STEADY) * _STEADY_EVENTS, now_ms=now_ms, workspaces=_STEADY)
    installation.fill(chain(steady, hot_events(_HOT_EVENTS, now_ms)))
    heap = SimulatorClient(world.heap_url)
    heap.reset()
    with child("bench.forwarding", env=installation.environment({})) as running:
        time.sleep(seconds)
        running.stop()
    return _section(heap)


def hot_events(count: int, now_ms: int) -> Iterator[Event]:
    """Give events of one workspace, nine of ten of them one user's."""
    for number in range(count):
        made = event(number, _HOT, 500, now_ms - number * 5)
        if number % _OTHERS_EVERY:
            made.user_id = _HOT_USER
        yield made


def _section(heap: SimulatorClient) -> Section:
    ledger = heap.ledger()
    served = [_steady(heap, ledger, number) for number in range(len(_STEADY))]
    hot, others_seconds = _hot(heap, ledger, len(_STEADY))
    refused = ledger.requests_by_status.get("429", 0)
    forced = _others() * 60 / (APP_LIMIT - IDENTITY_LIMIT)
    worst = min(paced.share for paced in [*served, hot])
    verdict = judged(worst, TARGET)
    lines = [
        (
            "against the simulator with Heap's own limits; rates after the first minute, in which "
            "budgets fill"
        ),
        "",
        *table(
            [
                ("", "permitted/min", "mean/min", "least/min", "share", "most in any 60 s"),
                *(_row(paced) for paced in [*served, hot]),
            ]
        ),
        "",
        f"least share {worst:.1%}, target {TARGET:.0%}: {verdict}",
        f"answers 429: {refused}, target 0: {judged(refused, 0, at_most=True)}",
        f"the hot app's other users: all {_others():,} events there after {others_seconds:.1f} s;",
        f"the limits alone force about {forced:.1f} s",
    ]
    figures = {
        "shares": {paced.who: paced.share for paced in [*served, hot]},
        "target": TARGET,
        "verdict": verdict,
        "answers_429": refused,
        "others_seconds": others_seconds,
        "others_forced_seconds": forced,
    }
    return Section("pacing", lines, figures)


def _row(paced: Paced) -> tuple[object, ...]:
    return (
        paced.who,
        f"{paced.permitted:,}",
        f"{paced.achieved:,.0f}",
        f"{min(paced.windows, default=0):,}",
        f"{paced.share:.1%}",
        f"{paced.most_in_a_minute:,}",
    )


def _others() -> int:
    return -(-_HOT_EVENTS // _OTHERS_EVERY)


def _steady(heap: SimulatorClient, ledger: LedgerReport, number: int) -> Paced:
    app = str(app_id(number))
    requests = heap.requests(limit=10_000)
    taken = [Arrival(r.received_at_ms, r.events) for r in requests if r.app_id == app and r.applied]
    most = ledger.apps[app].most_events_in_60_s
    return Paced(f"app {number + 1}", APP_LIMIT, windows(taken), most)


def _hot(heap: SimulatorClient, ledger: LedgerReport, number: int) -> tuple[Paced, float]:
    """Give how the hot identity was served, and the seconds until the others had all arrived."""
    app = str(app_id(number))
    arrived = [(int(e["received_at_ms"]), e["identity"] == _HOT_USER) for e in heap.events(app)]
    hot = [at_ms for at_ms, is_hot in arrived if is_hot]
    arrivals = [Arrival(at_ms, events) for at_ms, events in Counter(hot).items()]
    first_ms = min((at_ms for at_ms, _ in arrived), default=0)
    others = [at_ms for at_ms, is_hot in arrived if not is_hot]
    whole = len(others) == _others()
    paced = Paced(
        "hot identity",
        IDENTITY_LIMIT,
        windows(arrivals),
        ledger.apps[app].most_events_of_one_identity_in_60_s,
    )
    return paced, (max(others) - first_ms) / 1000 if whole else float("inf")
