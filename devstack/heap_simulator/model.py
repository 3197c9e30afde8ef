"""Heap's decision about one request: pure state, with the time handed in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from devstack.heap_simulator.sliding_window import SlidingWindow
from devstack.heap_simulator.track_rules import (
    broken_envelope,
    broken_event,
    events_of,
    subject_of,
)

if TYPE_CHECKING:
    from devstack.heap_simulator.ledger import Arrival, Ledger
    from devstack.heap_simulator.limits import Limits


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Heap answers.

    Attributes:
        status: the HTTP status.
        reason: the broken rule by name; never shown to clients unless asked for.
        fits_in_seconds: on 429, when the same request would be accepted.
    """

    status: HTTPStatus
    reason: str = ""
    fits_in_seconds: float = 0.0


class HeapModel:
    """Accepts or refuses requests as Heap's contract says; a refused request changes nothing.

    Args:
        limits: how much is accepted; may be replaced at any time.
        ledger: where accepted events are written.
        only_apps: the app ids that exist, or None where every app id does.
    """

    def __init__(
        self, limits: Limits, ledger: Ledger, *, only_apps: frozenset[str] | None = None
    ) -> None:
        self.limits = limits
        self.only_apps = only_apps
        self._windows: dict[str, SlidingWindow] = {}
        self.ledger = ledger

    def window(self, app_id: str) -> SlidingWindow:
        """The events this app sent of late; an empty window where it sent none."""
        return self._windows.get(app_id) or SlidingWindow()

    def track(self, document: object, *, now: float, arrival: Arrival) -> Verdict:
        """Decide about a parsed body of `POST /api/track` at monotonic time `now` (seconds).

        In this order: the envelope (400), the app id (401), every event (400), the limits (429).
        Events that repeat an idempotency key count against the limits like all others.
        """
        limit = self.limits.events_per_request
        if broken := broken_envelope(document, events_per_request=limit):
            return Verdict(HTTPStatus.BAD_REQUEST, broken)
        assert isinstance(document, dict)  # noqa: S101 - the envelope was checked, for mypy
        app_id = document["app_id"]
        if self.only_apps is not None and app_id not in self.only_apps:
            return Verdict(HTTPStatus.UNAUTHORIZED, "app_id_unknown")
        events = events_of(document)
        for event in events:
            if broken := broken_event(event):
                return Verdict(HTTPStatus.BAD_REQUEST, broken)
        subjects = Counter(map(subject_of, events))
        window = self.window(app_id)
        wait_seconds = window.seconds_until_fits(subjects, self.limits, now)
        if wait_seconds is not None:
            return Verdict(HTTPStatus.TOO_MANY_REQUESTS, "over_limit", wait_seconds)
        window.add(subjects, now)
        self._windows[app_id] = window
        self.ledger.write(app_id, events, arrival)
        return Verdict(HTTPStatus.OK)
