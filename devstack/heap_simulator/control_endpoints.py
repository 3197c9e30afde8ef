"""`/_sim/…`: what tests and people ask of the simulator that Heap itself does not have."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import orjson
from pydantic import BaseModel, ConfigDict, Field

from devstack.heap_simulator.control_answers import json_answer, refusing_nonsense
from devstack.heap_simulator.faults import FAULTS
from devstack.heap_simulator.http_messages import NDJSON, Answer, Request
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.reports import ledger_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator.router import Router
    from devstack.heap_simulator.world import SimulatedHeap

LINES_PER_PIECE = 500
"""How many ledger lines are sent at once: small enough to let track requests in between."""


class LedgerPage(BaseModel):
    """Which accepted events are asked for.

    Attributes:
        app_id: whose.
        after: the number of the last event seen; 0 starts at the first.
        limit: at most so many.
    """

    model_config = ConfigDict(frozen=True)

    app_id: str
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=10_000, ge=1, le=1_000_000)


class KnownApps(BaseModel):
    """Which app ids exist; `only` None means all do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    only: frozenset[str] | None


class ControlEndpoints:
    """Reads and changes the simulator."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap

    def add_to(self, router: Router) -> None:
        """Register every endpoint."""
        for method, path, handler in (
            ("GET", "/_sim/health", self._health),
            ("GET", "/_sim/ledger", self._ledger),
            ("DELETE", "/_sim/ledger", self._forget),
            ("GET", "/_sim/requests", self._requests),
            ("GET", "/_sim/faults", self._faults),
            ("PUT", "/_sim/faults", self._replace_faults),
            ("DELETE", "/_sim/faults", self._clear_faults),
            ("GET", "/_sim/limits", self._limits),
            ("PUT", "/_sim/limits", self._change_limits),
            ("GET", "/_sim/apps", self._apps),
            ("PUT", "/_sim/apps", self._replace_apps),
        ):
            router.add(method, path, refusing_nonsense(handler))

    def _health(self, _request: Request) -> Answer:
        return json_answer({"status": "ok"})

    def _ledger(self, request: Request) -> Answer:
        if request.query.get("events") != "1":
            return json_answer(ledger_report(self._heap))
        page = LedgerPage.model_validate(request.query)
        ledger = self._heap.model.ledger
        lines = ledger.lines(page.app_id, after=page.after, limit=page.limit)
        return Answer(stream=_pieces(lines), content_type=NDJSON)

    def _forget(self, _request: Request) -> Answer:
        self._heap.forget()
        return json_answer(ledger_report(self._heap))

    def _requests(self, request: Request) -> Answer:
        page = _LatestRequests.model_validate(request.query)
        return json_answer(list(self._heap.requests.latest)[-page.limit :])

    def _faults(self, _request: Request) -> Answer:
        now = self._heap.clock.monotonic()
        return json_answer([armed.report(now) for armed in self._heap.faults.armed])

    def _replace_faults(self, request: Request) -> Answer:
        faults = FAULTS.validate_json(request.body)
        self._heap.faults.replace(faults, self._heap.clock.monotonic())
        return self._faults(request)

    def _clear_faults(self, request: Request) -> Answer:
        self._heap.faults.replace([], self._heap.clock.monotonic())
        return self._faults(request)

    def _limits(self, _request: Request) -> Answer:
        return json_answer(self._heap.model.limits.model_dump())

    def _change_limits(self, request: Request) -> Answer:
        changes = orjson.loads(request.body)
        if not isinstance(changes, dict):
            return json_answer({"error": "send an object with the limits to change"}, status=400)
        merged = self._heap.model.limits.model_dump() | changes
        self._heap.model.limits = Limits.model_validate(merged)
        return self._limits(request)

    def _apps(self, _request: Request) -> Answer:
        only = self._heap.model.only_apps
        return json_answer({"only": None if only is None else sorted(only)})

    def _replace_apps(self, request: Request) -> Answer:
        self._heap.model.only_apps = KnownApps.model_validate_json(request.body).only
        return self._apps(request)


class _LatestRequests(BaseModel):
    limit: int = Field(default=1_000, ge=1)


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    while piece := b"".join(islice(lines, LINES_PER_PIECE)):
        yield piece
