"""A broker that is away does not fill the log."""

from __future__ import annotations

import logging

from heapline.telemetry.repeats import SILENT_SECONDS, Repeats

AWAY = (
    "FAIL [heapline-materializer#consumer-{number}] [thrd:127.0.0.1:9/bootstrap]: 127.0.0.1:9/"
    "bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after {ms}ms in state "
    "CONNECT)"
)


def record(message: str, at: float) -> logging.LogRecord:
    """Make one line, written at a time."""
    made = logging.LogRecord("librdkafka", logging.ERROR, "", 0, message, None, None)
    made.created = at
    return made


def test_the_same_again_is_silent_for_a_while() -> None:
    """Be it after another time, and from another client; then it is said again."""
    repeats = Repeats()
    lines = [(AWAY.format(number=1 + n % 3, ms=n), n / 100) for n in range(300)]
    assert [repeats.filter(record(*line)) for line in lines].count(True) == 1
    assert repeats.filter(record(AWAY.format(number=1, ms=5), SILENT_SECONDS))


def test_something_else_is_said_at_once() -> None:
    """Another broker, another failure."""
    repeats = Repeats()
    assert repeats.filter(record(AWAY, 0.0))
    assert repeats.filter(record(AWAY.replace("127.0.0.1", "10.0.0.7"), 0.0))
    assert repeats.filter(record(AWAY.replace("refused", "timed out"), 0.0))


def test_it_remembers_a_bounded_number_of_lines() -> None:
    """However many different ones come."""
    repeats = Repeats()
    assert all(repeats.filter(record(f"line {'x' * n}", 0.0)) for n in range(1_000))
    assert len(repeats._written) <= 200
