"""Times and durations as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_STEPS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def shown_time(time_ms: int | None) -> str:
    """Write a time in UTC, to the second; empty where there is none."""
    if not time_ms:
        return ""
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds_text(seconds: float | None) -> str:
    """Write a duration in its largest unit, rounded up: `3 minutes`."""
    if seconds is None:
        return "unknown"
    for size, name in _STEPS:
        if seconds >= size:
            count = -(-int(seconds) // size)
            return f"{count:,} {name}{'s' if count != 1 else ''}"
    return "less than a second" if seconds > 0 else "none"


def age_text(time_ms: int | None, now_ms: int) -> str:
    """Write how long ago something was, or how soon it is: `5 minutes ago`, `in 3 hours`."""
    if not time_ms:
        return "never"
    away = (time_ms - now_ms) / 1_000
    if abs(away) < 1:
        return "now"
    if away > 0:
        return f"in {seconds_text(away)}"
    size, name = next(step for step in _STEPS if -away >= step[0])
    count = int(-away) // size
    return f"{count:,} {name}{'s' if count != 1 else ''} ago"
