"""What each request to the track endpoint came to: counts of all, details of the latest."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

LATEST_REQUESTS = 10_000
"""How many requests are kept in detail."""

Ending = Literal["answered", "truncated", "reset", "hang"]
"""How a request ended for the client; all but the first left it without a whole answer."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the track endpoint.

    Attributes:
        number: counts from 1 since the start or the last reset of the ledger.
        received_at_ms: when its last byte arrived, in milliseconds since 1970 UTC.
        app_id: None where the body had none.
        events: how many events the body had, valid or not.
        size_bytes: of the body.
        status: the status that was sent or would have been sent; None where Heap never got to it.
        applied: whether its events were written (or found to be duplicates).
        reason: the broken rule or limit, by name.
        faults: the kinds of the faults that struck.
        ending: how it ended for the client.
    """

    number: int
    received_at_ms: int
    app_id: str | None
    events: int
    size_bytes: int
    status: int | None
    applied: bool
    reason: str
    faults: tuple[str, ...]
    ending: Ending


class RequestLog:
    """Counts by status and by ending, and the latest requests."""

    def __init__(self) -> None:
        self.received = 0
        self.by_status: Counter[int] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.by_app: dict[str, Counter[str]] = {}
        self.latest: deque[LoggedRequest] = deque(maxlen=LATEST_REQUESTS)

    def next_number(self) -> int:
        """The number of the request that has just arrived."""
        self.received += 1
        return self.received

    def add(self, request: LoggedRequest) -> None:
        """Write down what a request came to."""
        self.latest.append(request)
        if request.ending == "answered" and request.status is not None:
            self.by_status[request.status] += 1
            outcome = str(request.status)
        else:
            self.unanswered[request.ending] += 1
            outcome = request.ending
        if request.app_id is not None:
            self.by_app.setdefault(request.app_id, Counter())[outcome] += 1
