"""The clock is compared with Heap's, within what a header in whole seconds can tell."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, formatdate

import pytest

from operations.clock_skew import judge_clock
from operations.doctor import Level

_NOW = 1_800_000_000.5


@pytest.mark.parametrize(
    ("theirs", "level"),
    [
        (_NOW, Level.OK),
        (_NOW + 2, Level.OK),
        (_NOW + 4, Level.FAIL),
        (_NOW - 29, Level.OK),
        (_NOW - 33, Level.FAIL),
        (_NOW + 3600, Level.FAIL),
    ],
)
def test_it_tells_what_the_webhook_would_refuse(theirs: float, level: Level) -> None:
    """Behind by more than a moment, or ahead by half the window, is a failure with its fix."""
    result = judge_clock(formatdate(theirs, usegmt=True), _NOW, _NOW)
    assert result is not None
    assert result.level is level
    assert bool(result.fix) is (level is Level.FAIL)


def test_a_slow_answer_is_no_skew() -> None:
    """The header was written at some moment between question and answer."""
    result = judge_clock(formatdate(_NOW + 8, usegmt=True), _NOW, _NOW + 10)
    assert result is not None
    assert result.level is Level.OK


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026"])
def test_no_date_tells_nothing(date: str | None) -> None:
    """A server without a clock is not judged."""
    assert judge_clock(date, _NOW, _NOW) is None


def test_the_zone_is_read() -> None:
    """A date in another zone is the same moment."""
    there = datetime.fromtimestamp(_NOW, timezone(timedelta(hours=5)))
    result = judge_clock(format_datetime(there), _NOW, _NOW)
    assert result is not None
    assert result.level is Level.OK
