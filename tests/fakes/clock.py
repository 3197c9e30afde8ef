"""A clock moved by hand."""

from __future__ import annotations


class FakeClock:
    """`heapline.clock.Clock`; sleeping moves it."""

    def __init__(self, seconds: float = 0.0, epoch_ms: int = 1_760_000_000_000) -> None:
        self.seconds = seconds
        self._epoch_ms = epoch_ms

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.seconds

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return self._epoch_ms + int(self.seconds * 1000)

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.seconds += seconds
