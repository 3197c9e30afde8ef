"""The events one app sent in the last 60 seconds, exactly."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from devstack.heap_simulator.limits import WINDOW_SECONDS

if TYPE_CHECKING:
    from devstack.heap_simulator.limits import Limits

Subject = str | int
"""Whose event it is: an identity as `str`, a Heap user_id as `int`, so that they never mix."""


class SlidingWindow:
    """Every accepted event of one app counts from its acceptance until 60 seconds later.

    An event accepted at t counts at every now with t > now - 60. One entry is kept per accepted
    request, so memory follows what was accepted in the last minute and nothing else.

    Attributes:
        most_events: the most events seen in any 60 seconds.
        most_events_of_one_subject: the same for the busiest identity or user_id.
    """

    def __init__(self) -> None:
        self.most_events = 0
        self.most_events_of_one_subject = 0
        self._requests: deque[tuple[float, Counter[Subject]]] = deque()
        self._by_subject: Counter[Subject] = Counter()
        self._total = 0

    def events(self, now: float) -> int:
        """How many events count at `now`."""
        self._forget_expired(now)
        return self._total

    def seconds_until_fits(
        self, wanted: Counter[Subject], limits: Limits, now: float
    ) -> float | None:
        """None if `wanted` more events are allowed at `now`, else the seconds until they are.

        A request that is larger than a limit never fits; it is told a whole window.
        """
        self._forget_expired(now)
        app_excess = self._total + wanted.total() - limits.events_per_minute_per_app
        excess = self._excess_by_subject(wanted, limits.events_per_minute_per_identity)
        if app_excess <= 0 and not excess:
            return None
        for accepted_at, counts in self._requests:
            app_excess -= counts.total()
            excess = {s: left for s, n in excess.items() if (left := n - counts[s]) > 0}
            if app_excess <= 0 and not excess:
                return accepted_at + WINDOW_SECONDS - now
        return WINDOW_SECONDS

    def add(self, accepted: Counter[Subject], now: float) -> None:
        """Count the events of one accepted request."""
        self._forget_expired(now)
        self._requests.append((now, accepted))
        self._by_subject.update(accepted)
        self._total += accepted.total()
        self.most_events = max(self.most_events, self._total)
        self.most_events_of_one_subject = max(
            self.most_events_of_one_subject, *(self._by_subject[s] for s in accepted)
        )

    def _excess_by_subject(self, wanted: Counter[Subject], limit: int) -> dict[Subject, int]:
        return {s: e for s, n in wanted.items() if (e := self._by_subject[s] + n - limit) > 0}

    def _forget_expired(self, now: float) -> None:
        while self._requests and self._requests[0][0] <= now - WINDOW_SECONDS:
            _, counts = self._requests.popleft()
            self._total -= counts.total()
            for subject, count in counts.items():
                left = self._by_subject[subject] - count
                if left:
                    self._by_subject[subject] = left
                else:
                    del self._by_subject[subject]
