"""Timestamps: whatever sources write, in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import InvalidEvent
from heapline.events.timestamps import EARLIEST_MS, LATEST_MS, Moment, moment

T = 1_772_357_400_000
"""2026-03-01T09:30:00Z."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T09:30:00Z", Moment(T, has_milliseconds=False)),
        ("2026-03-01T09:30:00.000Z", Moment(T, has_milliseconds=True)),
        ("2026-03-01T09:30:00.125Z", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01T09:30:00.125999Z", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01T09:30:00.1Z", Moment(T + 100, has_milliseconds=True)),
        ("2026-03-01T09:30:00,125Z", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01t09:30:00.125z", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01 09:30:00", Moment(T, has_milliseconds=False)),
        ("2026-03-01T09:30:00.125", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01T10:30:00.125+01:00", Moment(T + 125, has_milliseconds=True)),
        ("2026-03-01T10:30:00+0100", Moment(T, has_milliseconds=False)),
        ("2026-03-01T10:30:00+01", Moment(T, has_milliseconds=False)),
        ("2026-03-01T04:00:00-05:30", Moment(T, has_milliseconds=False)),
        ("2026-03-01T09:30", Moment(T, has_milliseconds=False)),
        ("2026-03-01", Moment(T - 34_200_000, has_milliseconds=False)),
        ("2026-03-01T09:29:60Z", Moment(T, has_milliseconds=False)),
        ("2026-03-01T09:29:60.125Z", Moment(T + 125, has_milliseconds=True)),
        ("  2026-03-01T09:30:00Z\n", Moment(T, has_milliseconds=False)),
        (T, Moment(T, has_milliseconds=True)),
        (T + 125.9, Moment(T + 125, has_milliseconds=True)),
        (T // 1000, Moment(T, has_milliseconds=False)),
        (T / 1000 + 0.125, Moment(T + 125, has_milliseconds=True)),
        (Decimal("1772357400.125"), Moment(T + 125, has_milliseconds=True)),
        (str(T), Moment(T, has_milliseconds=True)),
        (str(T // 1000), Moment(T, has_milliseconds=False)),
        ("1772357400.125", Moment(T + 125, has_milliseconds=True)),
        (0, Moment(0, has_milliseconds=False)),
        (-0.5, Moment(-500, has_milliseconds=True)),
        (
            datetime(2026, 3, 1, 9, 30, 0, 125_999, tzinfo=UTC),
            Moment(T + 125, has_milliseconds=True),
        ),
        (datetime(2026, 3, 1, 9, 30), Moment(T, has_milliseconds=False)),  # noqa: DTZ001 -- naive is the case
        ("0001-01-01T00:00:00Z", Moment(EARLIEST_MS, has_milliseconds=False)),
        ("9999-12-31T23:59:59.999Z", Moment(LATEST_MS, has_milliseconds=True)),
    ],
)
def test_what_is_understood(value: object, expected: Moment) -> None:
    """Each notation gives its milliseconds, and whether the source had any."""
    assert moment(value) == expected


@pytest.mark.parametrize("value", [None, "", " "])
def test_what_is_absent(value: object) -> None:
    """No timestamp is none, not an error."""
    assert moment(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-13-01T00:00:00.000Z",
        "2026-02-30",
        "2026-03-01T24:00:00Z",
        "2026-03-01T09:30:61Z",
        "2026-W09-7T09:30:00.125Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٦-03-01T09:30:00Z",
        "2026-03-01T09:30:00+99:99",
        "20260301",
        "9" * 10_000,
        LATEST_MS + 1,
        EARLIEST_MS - 1,
        T * 1000,
        pytest.param(10**5000, id="enormous"),
        float("nan"),
        float("inf"),
        Decimal("sNaN"),
        True,
        [],
        {},
        b"2026-03-01",
    ],
)
def test_what_is_refused(value: object) -> None:
    """What cannot be read, or lies outside of the years 1 to 9999, is refused with advice."""
    with pytest.raises(InvalidEvent, match="ISO 8601") as refused:
        moment(value)
    assert refused.value.reason == "invalid_timestamp"


zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
recent = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # noqa: DTZ001 -- the strategy adds zones


@given(recent)
def test_text_and_datetime_agree(when: datetime) -> None:
    """A datetime and its ISO 8601 text are the same moment."""
    assert moment(when.isoformat()) == moment(when)


@given(recent, st.integers(0, 999))
def test_both_ways_through_text_agree(when: datetime, ms: int) -> None:
    """The usual notation, read fast, and the same with an offset, read slowly, are one moment."""
    text = when.replace(microsecond=0, tzinfo=None).isoformat()
    assert moment(f"{text}.{ms:03}Z") == moment(f"{text}.{ms:03}+00:00")


@given(st.integers(100_000_000_000, LATEST_MS))
def test_milliseconds_are_themselves(ms: int) -> None:
    """A number of milliseconds is taken as it is."""
    assert moment(ms) == Moment(ms, has_milliseconds=True)
