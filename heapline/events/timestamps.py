"""When something happened: from whatever a source writes to milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final, NamedTuple

from heapline.events.refusals import Refusal, refuse

EARLIEST_MS: Final = -62_135_596_800_000
"""0001-01-01T00:00:00Z."""
LATEST_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""
SECONDS_BELOW: Final = 100_000_000_000
"""A smaller number counts seconds (until the year 5138), a larger one milliseconds (from 1973)."""

_BEYOND_MS: Final = 10**18
_USUAL_LENGTH: Final = len("2026-03-01T09:30:00.125Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_NUMBER: Final = re.compile(r"[+-]?\d{9,}(\.\d+)?")
_ISO_8601: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?"
    r"\s?(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


class Moment(NamedTuple):
    """A point in time and how exactly its source gave it.

    Attributes:
        ms: milliseconds since 1970-01-01 UTC.
        has_milliseconds: whether the source gave them: text with a fraction of a second (`.000`
            is one), a number of milliseconds, a number of seconds with a fraction.
    """

    ms: int
    has_milliseconds: bool


def moment(value: object) -> Moment | None:
    """Read a timestamp; None and empty text mean that there is none.

    ISO 8601 text (without an offset: UTC), a number of milliseconds or seconds, also as text, or a
    datetime. What is finer than a millisecond is cut off; a leap second is the first of the next
    minute.

    Raises:
        InvalidEvent: `invalid_timestamp`, for anything else and outside of the years 1 to 9999.
    """
    if isinstance(value, str):
        return _from_text(value.strip())
    if value is None:
        return None
    if isinstance(value, datetime):
        return _from_datetime(value, has_milliseconds=value.microsecond != 0)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _from_number(value)
    raise _refused(f"a timestamp cannot be of type {type(value).__name__}")


def _from_text(text: str) -> Moment | None:
    if not text:
        return None
    if (
        len(text) == _USUAL_LENGTH
        and text[7] == "-"
        and text[10] == "T"
        and text[19] == "."
        and text[23] == "Z"
    ):
        try:  # as JavaScript writes it, and so nearly everything Command AI sends
            return _from_datetime(datetime.fromisoformat(text), has_milliseconds=True)
        except ValueError:
            """A leap second, or no timestamp: the long way tells."""
    found = _ISO_8601.fullmatch(text)
    if found is None:
        if _NUMBER.fullmatch(text):
            return _from_number(Decimal(text))
        raise _refused(f"{text!r:.60} is no timestamp")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        minutes = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=_zone(offset)
        )
    except ValueError as error:
        raise _refused(f"{text!r:.60} is no timestamp: {error}") from error
    seconds = int(second or 0)
    if seconds > 60:  # noqa: PLR2004 -- 60 is a leap second
        raise _refused(f"{text!r:.60} is no timestamp: second must be in 0..60")
    ms = (minutes - _EPOCH) // _MILLISECOND + seconds * 1000
    return _within(ms + int(((fraction or "") + "000")[:3]), has_milliseconds=fraction is not None)


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in "Zz":
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _from_datetime(value: datetime, *, has_milliseconds: bool) -> Moment:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return _within((aware - _EPOCH) // _MILLISECOND, has_milliseconds=has_milliseconds)


def _from_number(value: float | Decimal) -> Moment:
    if isinstance(value, Decimal) and value.is_snan():
        value = math.nan  # a signalling one cannot be compared
    if not -_BEYOND_MS < value < _BEYOND_MS:  # so NaN and infinities are refused too
        raise _refused(f"a {type(value).__name__} outside of the years 1 to 9999")
    if -SECONDS_BELOW < value < SECONDS_BELOW:
        ms = math.floor(Decimal(str(value)) * 1000)  # as written: 0.123 s is 123 ms
        return _within(ms, has_milliseconds=bool(value != math.floor(value)))
    return _within(math.floor(value), has_milliseconds=True)


def _within(ms: int, *, has_milliseconds: bool) -> Moment:
    if not EARLIEST_MS <= ms <= LATEST_MS:
        raise _refused(f"{ms} ms is outside of the years 1 to 9999")
    return Moment(ms, has_milliseconds)


def _refused(what: str) -> Exception:
    return refuse(
        Refusal.INVALID_TIMESTAMP,
        f"{what}: write ISO 8601 with an offset, for example 2026-03-01T09:30:00.125Z, or "
        "milliseconds since 1970; without any the time of publishing is taken",
    )
