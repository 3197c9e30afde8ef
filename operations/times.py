"""Times as an operator writes them: ISO 8601, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_UNIT_MS: Final = {
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
}
_AGO: Final = re.compile(r"(\d{1,9})([smhdw])")
FORMS: Final = "2h, 3d, 2026-01-31 or 2026-01-31T09:30+01:00 (UTC where no zone is given)"


def parse_time(text: str, now_ms: int) -> int:
    """Read a time: `90s`, `15m`, `2h`, `3d`, `1w` ago, or ISO 8601; UTC where no zone is given.

    Args:
        text: as the operator wrote it.
        now_ms: milliseconds since 1970-01-01 UTC.

    Returns:
        Milliseconds since 1970-01-01 UTC.

    Raises:
        ValueError: it is neither; the message gives examples.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text.lower()):
        return now_ms - int(ago[1]) * _UNIT_MS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write {FORMS}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def write_time(time_ms: int) -> str:
    """Write a time in ISO 8601, in UTC, to the second; empty for 0, which means unknown.

    Times no calendar knows (a far future) are written as plain milliseconds.
    """
    if not time_ms:
        return ""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(time_ms)
