"""Time as a seam: loops take a clock, decisions take `now`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time and a way to wait."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations, budgets and backoff."""
        ...

    def epoch_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC; for what is written down."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        time.sleep(seconds)


class Deadline:
    """One bound shared by every step of a shutdown or a wait."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock.monotonic())

    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() <= 0.0
