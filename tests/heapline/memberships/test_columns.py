"""The codes of a column of segments."""

from __future__ import annotations

import pytest

from heapline.memberships.columns import UNKNOWN, Codes


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 300])
def test_any_number_of_segments_has_codes(count: int) -> None:
    """Also more than there are places in a byte, and with unknown ones among those asked for."""
    codes = Codes({f"segment {number}": 7 * number for number in range(count)})
    known = [f"segment {number}" for number in reversed(range(count))]
    expected = [7 * number for number in reversed(range(count))]
    assert codes.of([]).tolist() == []
    assert codes.of(known).tolist() == expected
    assert codes.of([*known, "other", *known]).tolist() == [*expected, UNKNOWN, *expected]
    assert codes.of(known[:1]).tolist() == expected[:1]
