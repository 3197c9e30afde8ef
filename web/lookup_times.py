"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(time_ms: int | None) -> str | None:
    """Write milliseconds since 1970-01-01 UTC by RFC 3339, like `2026-01-31T09:30:00.123Z`."""
    if time_ms is None:
        return None
    moment = datetime.fromtimestamp(time_ms / 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000:03d}Z"
