"""Times and durations in words."""

from __future__ import annotations

import pytest

from web.console.words import age_text, seconds_text, shown_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0, "none"),
        (0.4, "less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (61, "2 minutes"),
        (7_200, "2 hours"),
        (90_000, "2 days"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """In their largest unit, rounded up."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (None, "never"),
        (0, "never"),
        (1_000_500, "now"),
        (940_000, "1 minute ago"),
        (881_000, "1 minute ago"),
        (4_600_000, "in 1 hour"),
    ],
)
def test_ages(time_ms: int | None, text: str) -> None:
    """Of the past and of what is to come."""
    assert age_text(time_ms, 1_000_000) == text


def test_times() -> None:
    """In UTC."""
    assert shown_time(1_760_000_000_999) == "2025-10-09 08:53:20 UTC"
    assert shown_time(None) == ""
