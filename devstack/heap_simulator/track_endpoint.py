"""`POST /api/track`: faults first, then Heap's decision, then the answer, perhaps spoilt."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import orjson

from devstack.heap_simulator.fault_board import FaultPlan, SeenRequest
from devstack.heap_simulator.faults import (
    DecidingFault,
    Hang,
    Poison,
    Reset,
    SpoilingFault,
    Status,
    TooLarge,
    Trickle,
)
from devstack.heap_simulator.http_messages import Answer, NoAnswer, Reply, Request
from devstack.heap_simulator.ledger import Arrival
from devstack.heap_simulator.request_log import Ending, LoggedRequest

if TYPE_CHECKING:
    from devstack.heap_simulator.model import Verdict
    from devstack.heap_simulator.world import SimulatedHeap

REASON_HEADER = "heap-simulator-reason"
"""Names the broken rule, if the simulator was asked to explain. Heap sends nothing like it."""


@dataclass(frozen=True, slots=True)
class _Received:
    """A request that has arrived whole."""

    arrival: Arrival
    document: object
    seen: SeenRequest


class TrackEndpoint:
    """Plays Heap's track endpoint, single and bulk."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap

    async def __call__(self, request: Request) -> Reply:
        """Answer, or do to the request what a fault says."""
        received = self._receive(request.body)
        plan = self._heap.faults.plan(received.seen, self._heap.clock.monotonic())
        if plan.wait_before_seconds:
            await asyncio.sleep(plan.wait_before_seconds)
        verdict = None
        if plan.verdict is None or _is_applied(plan.verdict):
            verdict = self._decide(received)
        reply = self._reply(plan, verdict)
        self._log(received, plan, verdict, reply)
        if plan.wait_after_seconds:
            await asyncio.sleep(plan.wait_after_seconds)
        return reply

    def _receive(self, body: bytes) -> _Received:
        number = self._heap.requests.next_number()
        document = _parsed(body)
        seen = SeenRequest(_app_id(document), _events(document), len(body))
        return _Received(Arrival(number, self._heap.clock.epoch_ms()), document, seen)

    def _decide(self, received: _Received) -> Verdict:
        now = self._heap.clock.monotonic()
        return self._heap.model.track(received.document, now=now, arrival=received.arrival)

    def _reply(self, plan: FaultPlan, verdict: Verdict | None) -> Reply:
        if isinstance(plan.verdict, Reset | Hang):
            return NoAnswer(plan.verdict.kind)
        if plan.verdict is not None:
            return _spoilt(self._forced_answer(plan.verdict), plan.delivery)
        return _spoilt(self._honest_answer(cast("Verdict", verdict)), plan.delivery)

    def _forced_answer(self, fault: Status | TooLarge | Poison) -> Answer:
        if isinstance(fault, TooLarge):
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if isinstance(fault, Poison) or fault.retry_after_seconds is None:
            return Answer(fault.status)
        form, seconds = fault.retry_after_form, fault.retry_after_seconds
        return Answer(fault.status, headers={"retry-after": self._retry_after(form, seconds)})

    def _honest_answer(self, verdict: Verdict) -> Answer:
        headers = {}
        form = self._heap.model.limits.retry_after
        if verdict.status == HTTPStatus.TOO_MANY_REQUESTS and form != "none":
            headers["retry-after"] = self._retry_after(form, verdict.fits_in_seconds)
        if self._heap.explain and verdict.reason:
            headers[REASON_HEADER] = verdict.reason
        return Answer(verdict.status, headers=headers)

    def _retry_after(self, form: str, seconds: float) -> str:
        if form == "garbage":
            return "soon, perhaps"
        if form == "seconds":
            return str(math.ceil(seconds))
        return formatdate(math.ceil(self._heap.clock.epoch_ms() / 1000 + seconds), usegmt=True)

    def _log(
        self, received: _Received, plan: FaultPlan, verdict: Verdict | None, reply: Reply
    ) -> None:
        arrival, seen = received.arrival, received.seen
        logged = LoggedRequest(
            number=arrival.request_number,
            received_at_ms=arrival.received_at_ms,
            app_id=seen.app_id,
            events=len(seen.events),
            size_bytes=seen.size_bytes,
            status=reply.status if isinstance(reply, Answer) else None,
            applied=verdict is not None and verdict.status == HTTPStatus.OK,
            reason=verdict.reason if verdict is not None else "",
            faults=plan.kinds,
            ending=_ending(reply),
        )
        self._heap.requests.add(logged)


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _app_id(document: object) -> str | None:
    app_id = document.get("app_id") if isinstance(document, dict) else None
    return app_id if isinstance(app_id, str) else None


def _events(document: object) -> list[Any]:
    if not isinstance(document, dict):
        return []
    events = document.get("events", [document])
    return events if isinstance(events, list) else []


def _is_applied(fault: DecidingFault) -> bool:
    return isinstance(fault, Status | Reset | Hang) and fault.applied


def _spoilt(answer: Answer, fault: SpoilingFault | None) -> Answer:
    if fault is None:
        return answer
    if isinstance(fault, Trickle):
        pause = fault.pause_ms / 1000
        return replace(answer, piece_bytes=fault.bytes_per_piece, pause_seconds=pause)
    return replace(answer, keep_body_bytes=fault.keep_body_bytes)


def _ending(reply: Reply) -> Ending:
    if isinstance(reply, NoAnswer):
        return reply.how
    return "answered" if reply.keep_body_bytes is None else "truncated"
