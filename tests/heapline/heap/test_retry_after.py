"""How `Retry-After` is read."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.retry_after import retry_after_seconds

NOW_MS = 1_445_412_480_000  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("999999999999999", 999_999_999_999_999.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30.0),
    ],
)
def test_seconds_and_all_three_forms_of_dates_are_read(value: str, expected: float) -> None:
    """RFC 9110 obliges a recipient to read the obsolete forms of dates too."""
    assert retry_after_seconds(value, NOW_MS) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "soon",
        "NaN",
        "inf",
        "1, 2",
        "१२",
        "9" * 400,
        "Wed, 99 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "Wed, 21 Oct 2015",
        "\x00",
        ",",
    ],
)
def test_anything_else_says_nothing(value: str | None) -> None:
    """Negative, fractional and garbled values are as good as no header."""
    assert retry_after_seconds(value, NOW_MS) is None


@given(st.integers(0, 10**9), st.datetimes(datetime(1900, 1, 1), datetime(2400, 1, 1)))  # noqa: DTZ001 -- Hypothesis wants naive bounds
def test_a_date_and_the_seconds_until_it_say_the_same(seconds: int, now: datetime) -> None:
    """Read at any moment, also in the past of 1970."""
    now_ms = int(now.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000
    then = datetime.fromtimestamp(now_ms / 1000 + seconds, UTC)
    assert retry_after_seconds(format_datetime(then, usegmt=True), now_ms) == seconds
    assert retry_after_seconds(str(seconds), now_ms) == seconds


@given(st.text() | st.from_regex(r"[A-Za-z0-9:, +-]{0,40}", fullmatch=True))
def test_no_header_raises(value: str) -> None:
    """A server may write anything; the answer is never negative."""
    seconds = retry_after_seconds(value, NOW_MS)
    assert seconds is None or seconds >= 0
