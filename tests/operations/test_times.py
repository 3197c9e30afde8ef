from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.times import parse_time, write_time

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("3D", 259_200_000),
        (" 1w ", 604_800_000),
        ("0s", 0),
    ],
)
def test_how_long_ago(text: str, ago_ms: int) -> None:
    """A number and a unit count back from now."""
    assert parse_time(text, NOW_MS) == NOW_MS - ago_ms


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-14 23:13:20.123+01:00", 1_700_000_000_123),
        ("2023-11-14", 1_699_920_000_000),
    ],
)
def test_iso_8601_is_utc_unless_it_says_otherwise(text: str, expected_ms: int) -> None:
    """Dates and times are read as written; without a zone they are UTC."""
    assert parse_time(text, NOW_MS) == expected_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-3d", "h", "2023-13-01", "1.5h"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    """The message shows what would be understood."""
    with pytest.raises(ValueError, match="2h, 3d, 2026-01-31"):
        parse_time(text, NOW_MS)


@settings(deadline=None)
@given(st.integers(1, 253_402_300_799))
def test_written_times_are_read_as_the_same_second(second: int) -> None:
    """What is printed can be given back as an option."""
    assert parse_time(write_time(second * 1000), NOW_MS) == second * 1000


def test_unknown_and_impossible_times_are_written_without_failing() -> None:
    """0 stands for unknown; a time no calendar knows stays a number."""
    assert write_time(0) == ""
    assert write_time(10**17) == str(10**17)
