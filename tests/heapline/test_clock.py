"""The clock seam."""

from __future__ import annotations

import time
from dataclasses import dataclass

from heapline.clock import Clock, Deadline, SystemClock


@dataclass
class _StoppedClock:
    now: float = 100.0

    def monotonic(self) -> float:
        return self.now

    def epoch_ms(self) -> int:
        return int(self.now * 1000)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_system_clock_agrees_with_the_machine() -> None:
    """Milliseconds since 1970, and seconds that never go backwards."""
    clock: Clock = SystemClock()
    before = time.time_ns() // 1_000_000
    moment = clock.epoch_ms()
    assert before <= moment <= time.time_ns() // 1_000_000
    first = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - first >= 0.01


def test_a_deadline_is_shared_by_all_steps() -> None:
    """What one step uses is gone for the next, and nothing is left after the end."""
    clock = _StoppedClock()
    deadline = Deadline(clock, 10)
    assert (deadline.left(), deadline.passed()) == (10, False)
    clock.sleep(7)
    assert (deadline.left(), deadline.passed()) == (3, False)
    clock.sleep(3)
    assert (deadline.left(), deadline.passed()) == (0, True)
    clock.sleep(5)
    assert (deadline.left(), deadline.passed()) == (0, True)


def test_a_deadline_of_nothing_has_passed() -> None:
    """Waiting for no time at all is no waiting."""
    assert Deadline(_StoppedClock(), 0).passed()
