"""Heap misbehaving in every way the simulator knows: one fault at a time, and all of them mixed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SimulatorSettings, running_simulator
from devstack.heap_simulator.faults import (
    Fault,
    Hang,
    Latency,
    Poison,
    Reset,
    Status,
    TooLarge,
    Trickle,
    Truncated,
)
from heapline.outcomes import DeferReason
from tests.forwarding.harness import UNLIMITED, Audit, Forwarding, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator.reports import LedgerReport
    from devstack.world import World

pytestmark = pytest.mark.slow

EVENTS = 120
SMALL_REQUESTS = {"HEAPLINE_LIMITS__EVENTS_PER_REQUEST": "30"}
MANY_AT_ONCE = {"HEAPLINE_FORWARDER__REQUESTS_IN_FLIGHT": "64"}
BRIEF_DEFERRAL = {
    "HEAPLINE_FORWARDER__DEFERRAL_MIN_SECONDS": "0.5",
    "HEAPLINE_FORWARDER__PROBE_INITIAL_SECONDS": "0.3",
    "HEAPLINE_FORWARDER__PROBE_MAX_SECONDS": "1",
}


@dataclass(frozen=True)
class Case:
    """One fault, which strikes one app alone, and what must become of its events.

    Attributes:
        dead: how many events end in the DLQ.
        deferred: why all others are deferred; None when all others are delivered.
        repeats: whether Heap must have got events more than once.
        answers: statuses Heap must have answered this app with.
    """

    name: str
    fault: Fault
    dead: int = 0
    deferred: DeferReason | None = None
    repeats: bool = False
    answers: tuple[str, ...] = ("200",)


UNAUTHORIZED = DeferReason.PAUSED_UNAUTHORIZED
MISCONFIGURED = DeferReason.PAUSED_MISCONFIGURED
CASES = [
    Case("latency", Latency(ms=200, jitter_ms=300)),
    Case("latency-after-applying", Latency(ms=200, jitter_ms=300, when="after")),
    Case(
        "429-with-seconds",
        Status(status=429, times=3, retry_after_seconds=1),
        answers=("200", "429"),
    ),
    Case(
        "429-with-a-date",
        Status(status=429, times=3, retry_after_seconds=1, retry_after_form="date"),
        answers=("200", "429"),
    ),
    Case(
        "429-with-garbage",
        Status(status=429, times=3, retry_after_seconds=1, retry_after_form="garbage"),
        answers=("200", "429"),
    ),
    Case("429-with-nothing", Status(status=429, times=3), answers=("200", "429")),
    Case("500-storm", Status(status=500, times=6), answers=("200", "500")),
    Case("503-storm", Status(status=503, times=6), answers=("200", "503")),
    Case("500-though-applied", Status(status=500, times=3, applied=True), repeats=True),
    Case("503-for-good", Status(status=503), deferred=DeferReason.PAUSED_UNAVAILABLE, answers=()),
    Case("408", Status(status=408, times=3), answers=("200", "408")),
    Case("425", Status(status=425, times=3), answers=("200", "425")),
    Case("401", Status(status=401), deferred=UNAUTHORIZED, answers=("401",)),
    Case("403", Status(status=403), deferred=UNAUTHORIZED, answers=("403",)),
    Case("404", Status(status=404), deferred=UNAUTHORIZED, answers=("404",)),
    Case("418", Status(status=418), deferred=MISCONFIGURED, answers=("418",)),
    Case("a-redirect", Status(status=302), deferred=MISCONFIGURED, answers=("302",)),
    Case("413-above-a-size", TooLarge(above_bytes=1_500), answers=("200", "413")),
    Case("413-always", TooLarge(above_bytes=10), dead=EVENTS, answers=("413",)),
    Case("one-poison-event", Poison(idempotency_key="one-poison-event-77"), dead=1),
    Case("a-422-poison-event", Poison(idempotency_key="a-422-poison-event-5", status=422), dead=1),
    Case("all-poison", Poison(event="nudge_shown"), deferred=MISCONFIGURED, answers=("400",)),
    Case("reset-before-applying", Reset(times=3)),
    Case("reset-after-applying", Reset(times=3, applied=True), repeats=True),
    Case("hang-before-applying", Hang(times=2)),
    Case("hang-after-applying", Hang(times=2, applied=True), repeats=True),
    Case("truncated-answer", Truncated(times=3), repeats=True),
    Case("trickle", Trickle(times=4, bytes_per_piece=8, pause_ms=50)),
]


@dataclass
class Aftermath:
    """What the run with all the faults left behind."""

    audit: Audit
    ledger: LedgerReport
    ids: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def aftermath(world: World) -> Iterator[Aftermath]:
    """Run once, with a workspace and an app for each fault and two without any."""
    with running_simulator(SimulatorSettings(limits=UNLIMITED)) as heap:
        there = Forwarding(world, f"t{secrets.token_hex(4)}-", heap)
        names = [case.name for case in CASES]
        there.connect_all({name: f"app-{name}" for name in [*names, "healthy"]})
        heap.faults(*(c.fault.model_copy(update={"app_id": f"app-{c.name}"}) for c in CASES))
        ids = {name: there.publish(name, EVENTS) for name in [*names, "healthy"]}
        there.catch_up(
            **SMALL_REQUESTS,
            **MANY_AT_ONCE,
            HEAPLINE_FORWARDER__UNAVAILABLE_AFTER_SECONDS="4",
            HEAPLINE_FORWARDER__DEFER_AFTER_SECONDS="60",
        )
        audit = there.audit([f"app-{name}" for name in [*names, "healthy"]])
        yield Aftermath(audit, heap.ledger(), ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_alone(aftermath: Aftermath, case: Case) -> None:
    """Each event of the struck app is delivered, dead-lettered or deferred, as it should be."""
    audit, ids = aftermath.audit, aftermath.ids[case.name]
    app = aftermath.ledger.apps[f"app-{case.name}"]
    dead, deferred = ids & set(audit.dead), ids & set(audit.deferred)
    assert set(case.answers) <= set(app.outcomes)
    assert len(dead) == case.dead
    assert len(deferred) == (len(ids - dead) if case.deferred else 0)
    assert app.accepted == len(ids - dead - deferred)
    assert (app.duplicates > 0) == case.repeats
    assert app.conflicting_duplicates == 0
    for letter in audit.dead_letters:
        if letter.event_id in ids:
            assert letter.status in {400, 413, 422}
            assert letter.attempts > 1
            assert letter.workspace == case.name


def test_deferrals_say_why(aftermath: Aftermath) -> None:
    """The counts name the pause for which events were deferred."""
    for reason in (UNAUTHORIZED, MISCONFIGURED, DeferReason.PAUSED_UNAVAILABLE):
        expected = EVENTS * sum(case.deferred == reason for case in CASES)
        assert aftermath.audit.counts["events", "deferred", reason.value] == expected


def test_nothing_is_lost_and_the_healthy_notice_nothing(aftermath: Aftermath) -> None:
    """All books balance, and an app without a fault got each event once."""
    aftermath.audit.check()
    assert not aftermath.audit.waiting
    healthy = aftermath.ledger.apps["app-healthy"]
    assert (healthy.accepted, healthy.duplicates) == (EVENTS, 0)


def test_an_app_that_is_refused_and_comes_back(forwarding: Forwarding) -> None:
    """Only its own events wait; once Heap takes it again, they flow without anybody's help."""
    there, heap = forwarding, forwarding.heap
    there.connect("globex", "12")
    heap.only_apps("12")
    refused, taken = there.publish("acme", 200), there.publish("globex", 200)
    with there.forwarder(**SMALL_REQUESTS, **BRIEF_DEFERRAL) as process:
        wait_until(lambda: set(heap.keys("12")) == taken)
        wait_until(lambda: there.audit(["11", "12"]).outcome("deferred") == 200)
        probes = heap.ledger().apps["11"].outcomes["401"]
        wait_until(lambda: heap.ledger().apps["11"].outcomes["401"] > probes, what="for a probe")
        assert not heap.keys("11")
        heap.all_apps()
        wait_until(lambda: set(heap.keys("11")) == refused, what="for the backlog to drain")
        later = there.publish("acme", 50, first=1_000)
        wait_until(lambda: later <= set(heap.keys("11")))
        there.stop(process)
    audit = there.audit(["11", "12"])
    audit.check()
    assert set(audit.in_heap) == refused | taken | later
    assert audit.total("delivered") == 450
    assert audit.duplicates == 0
    assert heap.ledger().apps["12"].outcomes.keys() == {"200"}


def test_a_random_mix(world: World, prefix: str) -> None:
    """Every fault at random over five workspaces: all events arrive but the poison."""
    settings = SimulatorSettings(limits=UNLIMITED, seed=20_260_101)
    with running_simulator(settings) as heap:
        there = Forwarding(world, prefix, heap)
        names = [f"ws-{n}" for n in range(5)]
        apps = [f"app-{n}" for n in range(5)]
        there.connect_all(dict(zip(names, apps, strict=True)))
        heap.faults(
            Poison(idempotency_key="ws-1-13"),
            Poison(idempotency_key="ws-2-250"),
            Latency(ms=20, jitter_ms=150, probability=0.3),
            Status(status=401, app_id="app-3", times=3, skip=4),
            Status(status=404, app_id="app-4", times=1, skip=9),
            Status(status=429, probability=0.08, retry_after_seconds=1),
            Status(status=429, probability=0.05, retry_after_seconds=1, retry_after_form="date"),
            Status(status=500, probability=0.08),
            Status(status=503, probability=0.05, applied=True),
            Reset(probability=0.06),
            Reset(probability=0.06, applied=True),
            Hang(probability=0.02, applied=True),
            TooLarge(above_bytes=5_500, probability=0.5),
            Truncated(probability=0.06),
            Trickle(probability=0.05, bytes_per_piece=40, pause_ms=50),
        )
        with there.forwarder(**SMALL_REQUESTS, **BRIEF_DEFERRAL) as process:
            ids: set[str] = set()
            for round_ in range(4):
                for name in names:
                    ids |= there.publish(name, 100, first=100 * round_)
            poison = {"ws-1-13", "ws-2-250"}
            wait_until(lambda: _accepted(heap.ledger()) == len(ids - poison), timeout=120)
            wait_until(lambda: there.audit(apps).total("dead_lettered") == 2)
            there.stop(process)
        audit = there.audit(apps)
        audit.check()
        assert set(audit.in_heap) == ids - poison
        assert set(audit.dead) == poison
        assert audit.duplicates > 0


def _accepted(ledger: LedgerReport) -> int:
    return ledger.accepted
