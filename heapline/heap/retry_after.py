"""The `Retry-After` header: seconds, or a date (RFC 9110, sections 5.6.7 and 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,15}")


def retry_after_seconds(value: str | None, now_ms: int) -> float | None:
    """Read how long to wait.

    Args:
        value: the header's value, or None where there is none.
        now_ms: milliseconds since 1970-01-01 UTC, for dates.

    Returns:
        Seconds, 0 for a date that has passed; None for no header and for one that is neither a
        whole number of seconds nor a date. There is no upper bound: how much is believed is the
        caller's business.
    """
    text = value.strip() if value else ""
    if _SECONDS.fullmatch(text):
        return float(text)
    date = _date(text)
    return None if date is None else max(0.0, date.timestamp() - now_ms / 1000)


def _date(text: str) -> datetime | None:
    """Read an HTTP date; its zone is GMT even where it is not said (asctime)."""
    try:
        date = parsedate_to_datetime(text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
