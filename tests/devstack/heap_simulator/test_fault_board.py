"""Which faults strike which requests, in virtual time and with seeded randomness."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from devstack.heap_simulator.fault_board import FaultBoard, SeenRequest
from devstack.heap_simulator.faults import (
    FAULTS,
    Hang,
    Latency,
    Poison,
    Reset,
    Status,
    TooLarge,
    Trickle,
    Truncated,
)

if TYPE_CHECKING:
    from devstack.heap_simulator.faults import Fault


def board(*faults: Fault, seed: int = 1, now: float = 0.0) -> FaultBoard:
    """A board with these faults armed at `now`."""
    made = FaultBoard(Random(seed))
    made.replace(faults, now)
    return made


def request(app_id: str | None = "11", *events: object, size_bytes: int = 100) -> SeenRequest:
    """A request as faults see it."""
    return SeenRequest(app_id, events, size_bytes)


def strikes(made: FaultBoard, count: int, now: float = 0.0) -> list[bool]:
    """For each of so many like requests, whether anything struck."""
    return [bool(made.plan(request(), now).kinds) for _ in range(count)]


def test_without_faults_nothing_happens() -> None:
    """An empty board plans nothing."""
    plan = board().plan(request(), 0.0)
    assert (plan.kinds, plan.verdict, plan.delivery) == ((), None, None)


def test_skip_and_times() -> None:
    """The first matching requests pass, then it strikes so often, then it is spent."""
    made = board(Status(status=503, skip=2, times=3))
    assert strikes(made, 7) == [False, False, True, True, True, False, False]
    assert made.armed[0].report(0.0)["spent"] is True


def test_lives_for_some_seconds() -> None:
    """A fault with a lifetime strikes until it is over, counted from when it was ordered."""
    made = board(Status(status=503, for_seconds=10), now=100.0)
    assert strikes(made, 1, now=109.9) == [True]
    assert strikes(made, 1, now=110.0) == [False]


def test_probability_is_seeded() -> None:
    """The same seed strikes the same requests; about the wanted share of them."""
    first = strikes(board(Status(status=503, probability=0.3)), 1000)
    assert first == strikes(board(Status(status=503, probability=0.3)), 1000)
    assert first != strikes(board(Status(status=503, probability=0.3), seed=2), 1000)
    assert 240 < sum(first) < 360
    assert not any(strikes(board(Status(status=503, probability=0)), 100))
    assert all(strikes(board(Status(status=503, probability=1)), 100))


def test_other_apps_are_spared() -> None:
    """A fault for one app strikes neither others nor requests without an app id, nor counts."""
    made = board(Status(status=401, app_id="11", times=1))
    assert made.plan(request("12"), 0.0).verdict is None
    assert made.plan(request(None), 0.0).verdict is None
    assert made.plan(request("11"), 0.0).verdict is not None


def test_too_large_strikes_above_its_size() -> None:
    """Exactly the size passes; one byte more does not."""
    made = board(TooLarge(above_bytes=100))
    assert made.plan(request(size_bytes=100), 0.0).verdict is None
    assert made.plan(request(size_bytes=101), 0.0).verdict is not None


@pytest.mark.parametrize(
    ("poison", "is_struck"),
    [
        (Poison(event="bad"), True),
        (Poison(event="other"), False),
        (Poison(idempotency_key="k"), True),
        (Poison(idempotency_key="other"), False),
        (Poison(property_name="p"), True),
        (Poison(property_name="p", property_value=7), True),
        (Poison(property_name="p", property_value=8), False),
        (Poison(property_name="other"), False),
        (Poison(event="bad", idempotency_key="k", property_name="p"), True),
        (Poison(event="good", idempotency_key="k"), False),
    ],
)
def test_poison_needs_one_event_with_all_it_names(poison: Poison, *, is_struck: bool) -> None:
    """Any one event of the request suffices, and it must have everything that is named."""
    events = [
        {"event": "good"},
        {"event": "bad", "idempotency_key": "k", "properties": {"p": 7}},
        "no event",
        {"event": ["bad"], "properties": None},
    ]
    plan = board(poison).plan(request("11", *events), 0.0)
    assert (plan.verdict is not None) == is_struck


def test_latencies_add_up_and_the_first_decision_wins() -> None:
    """All latencies strike; of two deciding faults the second keeps its count."""
    made = board(
        Latency(ms=100),
        Status(status=503, times=1),
        Latency(ms=50, when="after"),
        Status(status=500, times=1),
        Latency(ms=200),
    )
    plan = made.plan(request(), 0.0)
    assert plan.wait_before_seconds == pytest.approx(0.3)
    assert plan.wait_after_seconds == pytest.approx(0.05)
    assert plan.kinds == ("latency", "status", "latency", "latency")
    assert plan.verdict == made.armed[1].fault
    assert made.plan(request(), 0.0).verdict == made.armed[3].fault


def test_jitter_stays_in_its_bounds() -> None:
    """The wait is at least `ms` and at most `jitter_ms` more, and varies."""
    made = board(Latency(ms=100, jitter_ms=50))
    waits = {made.plan(request(), 0.0).wait_before_seconds for _ in range(200)}
    assert len(waits) > 100
    assert 0.1 <= min(waits) < 0.105
    assert 0.145 < max(waits) <= 0.15


@pytest.mark.parametrize("silent", [Reset(), Hang()])
@pytest.mark.parametrize("spoiling", [Truncated(times=1), Trickle(times=1)])
def test_no_answer_spoils_nothing(silent: Fault, spoiling: Fault) -> None:
    """Where there is no answer, a fault that spoils answers keeps its count."""
    made = board(silent, spoiling)
    assert made.plan(request(), 0.0).delivery is None
    assert made.armed[1].struck == 0


def test_replacing_starts_anew() -> None:
    """Ordered again, a spent fault strikes again."""
    made = board(Status(status=503, times=1))
    assert strikes(made, 2) == [True, False]
    made.replace([Status(status=503, times=1)], 0.0)
    assert strikes(made, 2) == [True, False]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"kind": "nonsense"},
        {"status": 503},
        {"kind": "status"},
        {"kind": "status", "status": 99},
        {"kind": "status", "status": 503, "typo": 1},
        {"kind": "status", "status": 503, "times": 0},
        {"kind": "status", "status": 503, "probability": 1.5},
        {"kind": "latency", "ms": -1},
        {"kind": "poison"},
        {"kind": "poison", "property_value": 7},
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    """A fault that could not do what was meant is refused when it is ordered."""
    with pytest.raises(ValidationError):
        FAULTS.validate_python([nonsense])


def test_faults_round_trip_as_json() -> None:
    """What the client writes is what the server reads."""
    faults: list[Fault] = [
        Latency(ms=1),
        Status(status=429, retry_after_seconds=2),
        TooLarge(above_bytes=1),
        Poison(event="x"),
        Reset(applied=True),
        Hang(),
        Truncated(),
        Trickle(),
    ]
    assert FAULTS.validate_json(FAULTS.dump_json(faults)) == faults
