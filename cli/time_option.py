"""Options that take a time."""

from __future__ import annotations

import typer

from operations.times import FORMS, parse_time

SINCE_HELP = f"ISO 8601, or how long ago: {FORMS}."


def time_option(text: str | None, name: str, now_ms: int) -> int | None:
    """Read an option's time, in milliseconds since 1970-01-01 UTC.

    Raises:
        typer.BadParameter: it is no time.
    """
    if text is None:
        return None
    try:
        return parse_time(text, now_ms)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error
