"""Finding the poison in a refused batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.forwarder.pause import Pause
from consumers.forwarder.trial import Trial, halves
from heapline.outcomes import Source
from heapline.settings import LimitSettings
from tests.consumers.forwarder.samples import TriedLane, record, records

if TYPE_CHECKING:
    from collections.abc import Collection

    from consumers.forwarder.record import Record
    from consumers.forwarder.request import Request


class Bench:
    """A lane whose Heap refuses whatever holds poison.

    Attributes:
        poison: what must be found.
        delivered, buried: what became of the records.
    """

    def __init__(self, events: int, poison: Collection[int], in_flight: int = 1) -> None:
        self.tried = TriedLane()
        self.held = records(events)
        self.tried.add(*self.held)
        self.poison = {self.held[number] for number in poison}
        self.delivered: list[Record] = []
        self.buried: list[Record] = []
        self._in_flight = in_flight
        self.now = 0.0

    def run(self) -> None:
        """Send and answer until nothing is left or the lane pauses."""
        flying: list[Request] = []
        while True:
            self.now += 0.2
            while len(flying) < self._in_flight and (request := self.tried.plan(self.now)):
                flying.append(request)
            if not flying or self.tried.lane.pause:
                return
            request = flying.pop(0)
            status = 400 if self.poison & set(request.records) else 200
            consequence = self.tried.answer(request, self.now, status)
            self.delivered += consequence.delivered
            self.buried += [suspect.record for suspect in consequence.poison]


@settings(max_examples=60, deadline=None)
@given(
    events=st.integers(20, 1_000),
    picks=st.lists(st.floats(0, 0.999), max_size=6),
    in_flight=st.integers(1, 4),
)
def test_a_few_poison_events_are_exactly_the_ones_found(
    events: int, picks: list[float], in_flight: int
) -> None:
    """With k poison events among n it takes O(k log n) requests; all others are delivered."""
    bench = Bench(events, {int(pick * events) for pick in picks}, in_flight)
    bench.run()
    assert set(bench.buried) == bench.poison
    assert len(bench.buried) == len(bench.poison)
    assert set(bench.delivered) == set(bench.held) - bench.poison
    assert bench.tried.lane.idle
    at_most = 1 + len(bench.poison) * (2 * math.ceil(math.log2(events)) + 1)
    assert bench.tried.sent <= at_most


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("first", [0, 300, 960])
def test_poison_in_a_row_does_not_blame_the_workspace(first: int, in_flight: int) -> None:
    """One broken client's forty events stand together; the other 960 of the batch are fine."""
    bench = Bench(1_000, range(first, first + 40), in_flight)
    bench.run()
    assert bench.tried.lane.pause is None
    assert set(bench.buried) == bench.poison
    assert len(bench.delivered) == 960


def test_a_workspace_all_of_whose_events_are_refused_is_paused_early() -> None:
    """After some ten lone events from all over the batch, not after two thousand requests."""
    bench = Bench(1_000, range(1_000))
    bench.run()
    assert bench.tried.lane.pause is Pause.MISCONFIGURED
    assert bench.buried == []
    assert bench.tried.sent < 120
    assert len(bench.tried.lane.waiting) == 1_000, "its events are kept"


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_workspace_most_of_whose_events_are_refused_is_paused(in_flight: int) -> None:
    """What was fine is delivered; what was refused is kept and not dead-lettered."""
    bench = Bench(300, [n for n in range(300) if n % 5], in_flight)
    bench.run()
    assert bench.tried.lane.pause is Pause.MISCONFIGURED
    assert bench.buried == []
    in_flight_now = [
        record for request in bench.tried.lane.in_flight.values() for record in request.records
    ]
    assert set(bench.delivered) <= set(bench.held) - bench.poison
    assert len(bench.delivered) + len(bench.tried.lane.waiting) + len(in_flight_now) == 300


def test_a_small_batch_is_not_judged() -> None:
    """Nine bad events out of nine may be anything."""
    bench = Bench(9, range(9))
    bench.run()
    assert bench.tried.lane.pause is None
    assert set(bench.buried) == bench.poison


def test_half_poison_is_not_yet_most() -> None:
    """The share must be passed."""
    trial = Trial(20, delivered=10)
    trial.suspects.extend([None] * 10)  # type: ignore[list-item]  # only counted
    assert trial.over
    assert not trial.blames_workspace(0.5, 10)
    assert trial.blames_workspace(0.49, 10)


def test_halves_lose_nothing() -> None:
    """Odd sizes too, order kept."""
    held = records(7)
    left, right = halves(held, None)
    assert left.records + right.records == held
    assert abs(len(left.records) - len(right.records)) <= 1


def test_a_refused_event_does_not_strand_its_identitys_others() -> None:
    """Its budget comes back, and with it the turn of those held back for it."""
    tried = TriedLane(LimitSettings(events_per_minute_per_identity=1))
    tried.add(*records(3, "hot", source=Source.DEFERRED))
    assert len(tried.exchange(0.0, 400).poison) == 1
    assert len(tried.exchange(1.0).delivered) == 1
    assert tried.plan(2.0) is None
    assert len(tried.exchange(61.5).delivered) == 1
    assert tried.lane.idle


def test_an_examination_goes_on_after_a_retry() -> None:
    """A half whose answer is a 503 is asked for again, as a half."""
    tried = TriedLane()
    held = [record(f"u{n}") for n in range(4)]
    tried.add(*held)
    tried.exchange(0.0, 400)
    half = tried.plan(0.1)
    assert half is not None
    tried.answer(half, 0.2, 503)
    again = tried.plan(2.0)
    assert again is not None
    assert again.records == half.records == held[:2]
