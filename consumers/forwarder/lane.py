"""A lane: one Heap app, and everything that decides when its waiting events go.

Pure state: every method takes `now`, and random numbers come from a generator handed in. A lane
never looks at a clock and never sends; `plan` gives the next request, the loop sends it, and
`answered` says what follows for its records.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from consumers.forwarder.budget import WINDOW_SECONDS, Budget
from consumers.forwarder.pause import Pause
from consumers.forwarder.request import Consequence, Request
from consumers.forwarder.trial import Part, Suspect, Trial, halves
from consumers.forwarder.verdict import Verdict, backoff_seconds, verdict
from consumers.forwarder.waiting import Waiting
from heapline.http import Failure
from heapline.outcomes import Source

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from consumers.forwarder.record import LaneKey, Now, Record
    from consumers.forwarder.slab import Slice
    from heapline.heap.track import TrackAnswer
    from heapline.outcomes import DeferReason
    from heapline.settings import ForwarderSettings, LimitSettings

_SMALL_REQUEST: Final = 250
"""A lane at its limit waits for room for so many events, or a second, before it sends."""
_LIMITED_WAIT_SECONDS: Final = 1.0
_BLOCKED_CHECK_SECONDS: Final = 0.25
"""How often blocked identities are looked at; in between, only those whose budget was released."""
_LEAST_WAIT_SECONDS: Final = 0.05
"""`Retry-After: 0` must not become a busy loop."""


class Lane:
    """One Heap app: waiting events, budgets, requests in flight, backoff, pause.

    Args:
        key, workspace: what it is for.
        limits, settings: see `heapline.settings`.
        overhead_bytes: bytes of a request besides its events.
        started_at: monotonic seconds from which on nobody else sends for this app.
    """

    def __init__(
        self,
        key: LaneKey,
        workspace: str,
        limits: LimitSettings,
        settings: ForwarderSettings,
        overhead_bytes: int,
        started_at: float,
    ) -> None:
        self.key = key
        self.workspace = workspace
        self.workspaces = {workspace}
        """All whose events it holds: an app id can move from one workspace to another."""
        self.started_at = started_at
        self.pause: Pause | None = None
        self.probe_at = 0.0
        self.homes: set[int] = set()
        """Numbers of the partitions its records were read from."""
        self.in_flight: dict[int, Request] = {}
        self.waiting = Waiting()
        self.budget = Budget(
            limits.events_per_minute_per_app,
            limits.events_per_minute_per_identity,
            WINDOW_SECONDS + limits.window_margin_seconds,
            started_at,
        )
        self._limits = limits
        self._settings = settings
        self._overhead = overhead_bytes
        self._closed_until = 0.0
        self._failures = 0
        self._failing_since: float | None = None
        self._probes = 0
        self._last_sent = float("-inf")
        self._unblocked_at = float("-inf")

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not (self.waiting or self.in_flight)

    def open(self, now: float) -> bool:
        """Whether the lane sends: neither paused nor backing off."""
        return self.pause is None and now >= self._closed_until

    def wants_probe(self, now: float) -> bool:
        """Whether a paused lane has nothing to probe with, though it is time."""
        return self.pause is not None and now >= self.probe_at and self.idle

    def next_try(self, now: float) -> float | None:
        """Give when a paused or backing-off lane sends again; None where it need not wait."""
        if self.open(now):
            return None
        return self._closed_until if self.pause is None else self.probe_at

    # --- sending --------------------------------------------------------------------------------

    def plan(self, now: float, request_id: int) -> Request | None:
        """Give the next request to send now, or None; its budget is held from here on."""
        self._unblock(now, self.budget.advance(now))
        if not self._may_send(now):
            return None
        if self.pause is not None:
            return self._probe(now, request_id)
        room, allowance = self.budget.room(now), self.budget.identity_allowance(now)
        part = self.waiting.next_part(allowance, self.budget)
        if part is not None:
            if room < len(part.records):
                return None
            self.waiting.parts.remove(part)
            return self._request(part.records, part.trial, now, request_id)
        if not self._worth_sending(now, room):
            return None
        most = min(self._limits.events_per_request, room)
        most_bytes = self._limits.request_bytes - self._overhead
        taken = self.waiting.take(most, most_bytes, allowance, self.budget)
        return self._request(taken, None, now, request_id)

    def next_look(self, now: float) -> float | None:
        """Give when `plan` should be asked again if nothing else happens, or None."""
        if not self.waiting:
            return None
        if self.pause is not None:
            return None if self.in_flight else max(now, self.probe_at)
        if now < self._closed_until:
            return self._closed_until
        soon = now + self._settings.linger_seconds
        change = self.budget.next_change(now)
        return soon if change is None else min(max(change, now), soon)

    def _may_send(self, now: float) -> bool:
        if not self.waiting:
            return False
        if self.pause is not None:
            return now >= self.probe_at and not self.in_flight
        at_most = 1 if self._failures else self._settings.requests_in_flight_per_lane
        return now >= self._closed_until and len(self.in_flight) < at_most

    def _probe(self, now: float, request_id: int) -> Request | None:
        taken: list[Record | Slice] = []
        if self.budget.room(now) >= 1:
            allowance = self.budget.identity_allowance(now)
            taken = self.waiting.take_probe(allowance, self.budget)
        if not taken:  # those here are deferred, and the next to come may be sent
            self.probe_at = now + _LIMITED_WAIT_SECONDS
        return self._request(taken, None, now, request_id)

    def _worth_sending(self, now: float, room: int) -> bool:
        """Not yet, while a fuller request is near: a busy lane lingers, one at its limit waits."""
        ready = len(self.waiting.line)
        since = now - self._last_sent
        not_full = ready < self._limits.events_per_request
        if ready == 0 or room <= 0:
            return False
        if not_full and self.in_flight and since < self._settings.linger_seconds:
            return False
        return room >= min(ready, _SMALL_REQUEST) or since >= _LIMITED_WAIT_SECONDS

    def _request(
        self, carried: Sequence[Record | Slice], trial: Trial | None, now: float, request_id: int
    ) -> Request | None:
        if not carried:
            return None
        request = Request(request_id, self.key, carried, trial, now)
        self.in_flight[request_id] = request
        identities = Counter([record.identity for record in request.records])
        self.budget.hold(request_id, identities, [each.identities for each in request.rows])
        self._last_sent = now
        return request

    def _unblock(self, now: float, released: list[str]) -> None:
        waiting = self.waiting
        if not waiting.blocked:
            return
        if now - self._unblocked_at >= _BLOCKED_CHECK_SECONDS:
            self._unblocked_at = now
            released = waiting.blocked_identities
        waiting.unblock(released, self.budget.identity_allowance(now), self.budget)

    # --- answers --------------------------------------------------------------------------------

    def answered(
        self, request: Request, answer: TrackAnswer, now: Now, rng: random.Random
    ) -> Consequence:
        """Decide what follows from an answer; records that stay are waiting again."""
        del self.in_flight[request.id]
        consequence = Consequence(verdict(answer.status))
        self._settle_budget(request, answer, consequence.verdict, now.monotonic)
        request.drop_given_up()
        if consequence.verdict is not Verdict.DELIVERED:
            request.rows_to_records()
        request.attempted(None if consequence.verdict is Verdict.DELIVERED else now.epoch_ms)
        match consequence.verdict:
            case Verdict.DELIVERED:
                self._delivered(request, consequence)
            case Verdict.BISECT:
                self._bisect(request, answer, consequence, now.monotonic)
            case Verdict.SPLIT:
                self._split(request, answer, consequence)
            case Verdict.UNAUTHORIZED:
                self._put_back(request)
                self.pause_for(Pause.UNAUTHORIZED, now.monotonic)
            case Verdict.MISCONFIGURED:
                self._put_back(request)
                self.pause_for(Pause.MISCONFIGURED, now.monotonic)
            case Verdict.RETRY | Verdict.RATE_LIMITED:
                self._put_back(request)
                self._back_off(consequence.verdict, answer, now.monotonic, rng)
        return consequence

    def _settle_budget(
        self, request: Request, answer: TrackAnswer, meaning: Verdict, now: float
    ) -> None:
        """Hold the budget for a window, but let it go when Heap cannot have counted any event."""
        if meaning in _REFUSED_WHOLE or answer.failure is Failure.NOT_SENT:
            self.budget.refused(request.id)
        else:
            self.budget.answered(request.id, now)

    def _delivered(self, request: Request, consequence: Consequence) -> None:
        consequence.delivered, consequence.rows = request.records, request.rows
        self._recovered()
        self._resume()
        if request.trial is not None:
            request.trial.delivered += len(request.records)
            self._conclude(request.trial, consequence)

    def _bisect(
        self, request: Request, answer: TrackAnswer, consequence: Consequence, now: float
    ) -> None:
        self._recovered()
        if self.pause in _PROVED_WRONG_BY_AN_ANSWER:
            self._resume()
        if self.pause is not None:
            self._put_back(request)
            self.pause_for(self.pause, now)
            return
        trial = request.trial or Trial(len(request.records))
        if len(request.records) > 1:
            self.waiting.put_parts(*halves(request.records, trial))
            return
        trial.suspects.extend(_suspects(request, answer))
        settings = self._settings
        if trial.blames_workspace(settings.poison_share, settings.poison_minimum_events):
            self.waiting.put_back(trial.dissolve())
            self.pause_for(Pause.MISCONFIGURED, now)
        else:
            if trial.delivered == 0:
                self.waiting.examine_elsewhere(trial)
            self._conclude(trial, consequence)

    @staticmethod
    def _conclude(trial: Trial, consequence: Consequence) -> None:
        if trial.over:
            consequence.poison.extend(trial.suspects)
            trial.suspects.clear()

    def _split(self, request: Request, answer: TrackAnswer, consequence: Consequence) -> None:
        self._recovered()
        if self.pause in _PROVED_WRONG_BY_AN_ANSWER:
            self._resume()
        if len(request.records) > 1:
            self.waiting.put_parts(*halves(request.records, request.trial))
            return
        consequence.too_large = _suspects(request, answer)
        if request.trial is not None:
            request.trial.delivered += len(request.records)
            self._conclude(request.trial, consequence)

    def _put_back(self, request: Request) -> None:
        if request.trial is not None:
            self.waiting.put_parts(Part(request.records, request.trial))
        else:
            self.waiting.put_back(request.records)

    def _back_off(self, why: Verdict, answer: TrackAnswer, now: float, rng: random.Random) -> None:
        if not self._failures or now >= self._closed_until:  # what is in flight fails together
            self._failures += 1
        settings = self._settings
        if answer.retry_after_seconds is not None:
            wait = max(_LEAST_WAIT_SECONDS, answer.retry_after_seconds)
            wait = min(wait, settings.retry_after_max_seconds)
        else:
            first, longest = settings.backoff_initial_seconds, settings.backoff_max_seconds
            wait = backoff_seconds(self._failures, first, longest, rng.random())
        self._closed_until = max(self._closed_until, now + wait)
        if self.pause is not None:
            self.pause_for(self.pause, now)
            self.probe_at = max(self.probe_at, self._closed_until)
        if why is Verdict.RATE_LIMITED:
            return
        self._failing_since = now if self._failing_since is None else self._failing_since
        if self.pause is None and now - self._failing_since >= settings.unavailable_after_seconds:
            self.pause_for(Pause.UNAVAILABLE, now)

    def _recovered(self) -> None:
        self._failures = 0
        self._failing_since = None

    # --- pausing --------------------------------------------------------------------------------

    def pause_for(self, reason: Pause, now: float) -> None:
        """Stop sending but for probes, each later than the one before."""
        if self.pause is None:
            self._probes = 0
        self.pause = reason
        wait = self._settings.probe_initial_seconds * 2.0 ** min(self._probes, 32)
        self._probes += 1
        self.probe_at = now + min(wait, self._settings.probe_max_seconds)

    def _resume(self) -> None:
        self.pause = None
        self._probes = 0

    def try_now(self, now: float) -> None:
        """Probe at once: a person changed the connection, or asks for it."""
        self.probe_at = now

    # --- giving records up ----------------------------------------------------------------------

    def may_spill(self, now: float) -> bool:
        """Whether anything may have to leave: a quick look, for there are thousands of lanes."""
        waiting, settings = self.waiting, self._settings
        return (
            self.pause is not None
            or waiting.blocked > 0
            or waiting.may_have_old(now - settings.defer_after_seconds)
            or waiting.unblocked > settings.lane_backlog_events
        )

    def take_spill(self, now: float) -> Iterator[tuple[Record, DeferReason | None]]:
        """Take what must not wait here longer, each with the reason to defer it.

        Records that were deferred before and are in a paused lane come with None: they go back to
        where they waited, and pin nothing there.
        """
        old = now - self._settings.defer_after_seconds
        if self.pause is None:
            yield from self.waiting.take_old(old)
            yield from self.waiting.take_overfull(self._settings.lane_backlog_events)
        elif self.in_flight or now < self.probe_at:
            reason = self.pause.defer_reason
            self._dissolve_in_flight()
            for record in self.waiting.take_all():
                yield record, (reason if record.source is Source.EVENTS else None)
        else:  # they wait to be the probe
            reason = self.pause.defer_reason
            yield from ((record, reason) for record, _ in self.waiting.take_old(old))

    def drop(self) -> None:
        """Forget waiting records whose partition was handed over."""
        self._dissolve_in_flight()
        self.waiting.drop()

    def _dissolve_in_flight(self) -> None:
        for request in self.in_flight.values():
            if request.trial is not None and not request.trial.dissolved:
                self.waiting.put_back(request.trial.dissolve())


_REFUSED_WHOLE: Final = (
    Verdict.BISECT,
    Verdict.SPLIT,
    Verdict.UNAUTHORIZED,
    Verdict.MISCONFIGURED,
)
"""Answers after which none of the request's events is in Heap, nor counted by it."""
_PROVED_WRONG_BY_AN_ANSWER: Final = (Pause.UNAUTHORIZED, Pause.UNAVAILABLE)


def _suspects(request: Request, answer: TrackAnswer) -> list[Suspect]:
    status = answer.status or 0
    return [Suspect(record, status, answer.body_excerpt) for record in request.records]
