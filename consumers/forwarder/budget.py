"""Heap's two limits, kept so strictly that Heap never has to say 429.

Heap allows so many events a minute per app and per app and identity (Heap, Bulk Track reference).
It counts an event when it arrives, somewhere between our sending and its answer: so a request holds
its budget from before it is sent until a minute after its answer.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from consumers.forwarder.row_budget import RowBudget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

WINDOW_SECONDS = 60.0


class Held(NamedTuple):
    """The budget of one request: events by identity, and hashes of one event's identity each."""

    identities: Mapping[str, int]
    rows: NDArray[np.uint64] | None

    def events(self) -> int:
        """How many events that are."""
        rows = 0 if self.rows is None else len(self.rows)
        return sum(self.identities.values()) + rows


class Budget:
    """What one app may still be sent.

    A budget starts empty and fills at the permitted rate: nobody knows what a predecessor sent in
    the last minute.

    Args:
        app_limit, identity_limit: events per window.
        window_seconds: a minute, plus a margin for clocks that differ a little.
        started_at: monotonic seconds from which on nobody else sends for this app.
    """

    def __init__(
        self,
        app_limit: int,
        identity_limit: int,
        window_seconds: float = WINDOW_SECONDS,
        started_at: float = 0.0,
    ) -> None:
        self.app_limit = app_limit
        self.identity_limit = identity_limit
        self.window_seconds = window_seconds
        self.started_at = started_at
        self.used = 0
        self._by_identity: Counter[str] = Counter()
        self._in_flight: dict[int, Held] = {}
        self._releases: deque[tuple[float, Held]] = deque()
        self._let_go: list[str] = []
        self._rows = RowBudget()

    def hold(
        self,
        request_id: int,
        identities: Mapping[str, int],
        rows: Sequence[NDArray[np.uint64]] = (),
    ) -> None:
        """Take the budget of a request about to be sent.

        Args:
            request_id: names it later.
            identities: how many events of which.
            rows: hashes of identities, one for each further event.
        """
        held = Held(identities, self._rows.hold(rows) if rows else None)
        self._in_flight[request_id] = held
        by_identity = self._by_identity
        for identity, events in identities.items():
            by_identity[identity] += events
        self.used += held.events()

    def answered(self, request_id: int, now: float) -> None:
        """Let the request's budget go, one window from now."""
        held = self._in_flight.pop(request_id)
        self._releases.append((now + self.window_seconds, held))

    def refused(self, request_id: int) -> None:
        """Let the request's budget go at once: none of its events was counted."""
        held = self._in_flight.pop(request_id)
        self._release(held)
        self._let_go.extend(held.identities)

    def advance(self, now: float) -> list[str]:
        """Release what is due; give the identities that have more room than before."""
        released, self._let_go = self._let_go, []
        while self._releases and self._releases[0][0] <= now:
            _, held = self._releases.popleft()
            self._release(held)
            released.extend(held.identities)
        return released

    def _release(self, held: Held) -> None:
        self.used -= held.events()
        if held.rows is not None:
            self._rows.release(held.rows)
        by_identity = self._by_identity
        for identity, events in held.identities.items():
            left = by_identity[identity] - events
            if left:
                by_identity[identity] = left
            else:
                del by_identity[identity]

    def filling(self, now: float) -> bool:
        """Whether the budget is younger than a window and so not yet full."""
        return now < self.started_at + self.window_seconds

    def _share(self, now: float) -> float:
        age = now - self.started_at
        return min(1.0, max(0.0, age / self.window_seconds))

    def room(self, now: float) -> int:
        """Give how many events the app may be sent now."""
        return int(self.app_limit * self._share(now)) - self.used

    def identity_allowance(self, now: float) -> int:
        """Give how many events any one identity may have in the window now."""
        return int(self.identity_limit * self._share(now))

    def identity_used(self, identity: str) -> int:
        """Give how many events of this identity the window holds."""
        return self._by_identity.get(identity, 0) + self._rows.used(identity)

    def surely_fits(self, events: int, allowance: int) -> bool:
        """Whether no identity gets over an allowance even if all these events are one's."""
        return self.used + events <= allowance

    @property
    def rows_held(self) -> Counter[int]:
        """How many rows the window holds, by their identity's hash; not to be changed."""
        return self._rows.counts()

    @property
    def records_held(self) -> Mapping[str, int]:
        """How many records the window holds, by identity."""
        return self._by_identity

    def next_change(self, now: float) -> float | None:
        """Give when there will be more room, or None when only an answer can tell."""
        if self.filling(now):
            return now + self.window_seconds / self.app_limit
        return self._releases[0][0] if self._releases else None

    def in_use_share(self) -> float:
        """Give the share of the app's limit that is in use, for metrics."""
        return self.used / self.app_limit
