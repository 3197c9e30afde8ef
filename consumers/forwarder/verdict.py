"""The outcome table: what a lane does about Heap's answer.

Heap documents 200 and 400 only (Heap, Track reference); everything else is assumed as HTTP means it
(RFC 9110), never as success.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What an answer means for the request's events."""

    DELIVERED = "delivered"
    BISECT = "bisect"
    """Some event is refused: halve until it stands alone."""
    SPLIT = "split"
    """Too large: halve."""
    UNAUTHORIZED = "unauthorized"
    """This app is refused: pause the lane and keep the events."""
    MISCONFIGURED = "misconfigured"
    """An answer that no retry will change: pause the lane and keep the events."""
    RATE_LIMITED = "rate_limited"
    RETRY = "retry"


_TABLE: Final = {
    400: Verdict.BISECT,
    401: Verdict.UNAUTHORIZED,
    403: Verdict.UNAUTHORIZED,
    404: Verdict.UNAUTHORIZED,
    408: Verdict.RETRY,
    413: Verdict.SPLIT,
    422: Verdict.BISECT,
    425: Verdict.RETRY,
    429: Verdict.RATE_LIMITED,
}
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = range(500, 600)


def verdict(status: int | None) -> Verdict:
    """Read the table; None is an answer that never came."""
    if status is None or status in _SERVER_ERROR:
        return Verdict.RETRY
    if status in _SUCCESS:
        return Verdict.DELIVERED
    return _TABLE.get(status, Verdict.MISCONFIGURED)


def backoff_seconds(failures: int, initial: float, longest: float, random: float) -> float:
    """Give a wait with full jitter: anything up to the initial wait doubled per failure.

    Args:
        failures: how many in a row, at least 1.
        initial: seconds of the first wait.
        longest: seconds no wait exceeds.
        random: a number from 0 to 1.
    """
    doublings = min(failures - 1, 32)
    return min(longest, initial * 2.0**doublings) * random
