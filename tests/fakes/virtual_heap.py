"""Heap in virtual time: the simulator's own decisions, behind chosen latencies and faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson

from consumers.forwarder.mapping import request_body
from devstack.heap_simulator.ledger import Arrival, Ledger
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.model import HeapModel
from heapline.heap.track import TrackAnswer
from heapline.http import Failure

if TYPE_CHECKING:
    import random

    from consumers.forwarder.request import Request


@dataclass(frozen=True)
class Strike:
    """What a fault does to one request.

    Attributes:
        answer: what the forwarder hears.
        applied: whether Heap took the events all the same.
        seconds: how long the answer takes, or None for the usual latency.
    """

    answer: TrackAnswer
    applied: bool = False
    seconds: float | None = None


class Fault(Protocol):
    """Decides whether to strike a request."""

    def __call__(self, request: Request, now: float) -> Strike | None:
        """Give what happens instead of Heap's own decision, or None."""
        ...


def says(status: int, *, applied: bool = False, retry_after: float | None = None) -> Strike:
    """Make a strike that answers with a status."""
    return Strike(TrackAnswer(status, retry_after_seconds=retry_after), applied)


def breaks(*, applied: bool, seconds: float | None = None) -> Strike:
    """Make a strike that loses the connection before or after Heap applied the request."""
    return Strike(TrackAnswer(None, Failure.AMBIGUOUS), applied, seconds)


UNREACHABLE = Strike(TrackAnswer(None, Failure.NOT_SENT))
"""Nobody listens: Heap never sees the request."""


def for_app(app_id: str, strike: Strike) -> Fault:
    """Strike every request of one app."""
    return lambda request, _: strike if request.lane.app_id == app_id else None


def refuses(*poison: str) -> Fault:
    """Answer 400 to every request that carries one of these events."""
    ids = frozenset(poison)
    return lambda request, _: (
        says(400) if any(record.event_id in ids for record in request.records) else None
    )


@dataclass
class VirtualHeap:
    """The other end of the forwarder's requests.

    A request is counted somewhere between its sending and its answer, at a random moment.

    Attributes:
        rng: for the moment of arrival.
        limits: Heap's own.
        latency_seconds: from sending to answer; by app where `latency_by_app` names it.
        faults: asked in order; the first that strikes decides.
        statuses: of all answers, by app id.
        sent: events in requests, by app id, accepted or not.
    """

    rng: random.Random
    limits: Limits = field(default_factory=Limits)
    latency_seconds: float = 0.1
    latency_by_app: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    statuses: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ledger = Ledger(keep_payloads=0)
        self.model = HeapModel(self.limits, self.ledger)

    def keys(self, app_id: str) -> set[str | None]:
        """Give the idempotency keys of the events Heap holds for an app."""
        return set(self.ledger.account(app_id).keys)

    def receive(self, request: Request, now: float) -> tuple[float, float, Strike | None]:
        """Take a request; give when it arrives, when its answer comes, and what strikes it."""
        app_id = request.lane.app_id
        self.sent[app_id] += len(request.records)
        self.requests[app_id] += 1
        strike = next((s for fault in self.faults if (s := fault(request, now))), None)
        latency = self.latency_by_app.get(app_id, self.latency_seconds)
        if strike is not None and strike.seconds is not None:
            latency = strike.seconds
        return now + latency * self.rng.random(), now + latency, strike

    def decide(
        self, app_id: str, bodies: list[bytes], strike: Strike | None, now: float
    ) -> TrackAnswer:
        """Decide about a request at the moment it arrives."""
        if strike is not None and not strike.applied:
            return self._said(app_id, strike.answer)
        document = orjson.loads(request_body(app_id, bodies))
        verdict = self.model.track(document, now=now, arrival=Arrival(0, int(now * 1000)))
        if strike is not None:
            return self._said(app_id, strike.answer)
        return self._said(app_id, TrackAnswer(int(verdict.status), body_excerpt=verdict.reason))

    def _said(self, app_id: str, answer: TrackAnswer) -> TrackAnswer:
        self.statuses[app_id, answer.status] += 1
        return answer
