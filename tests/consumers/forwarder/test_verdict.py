"""The outcome table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.verdict import Verdict, backoff_seconds, verdict


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((200, 201, 202, 204), Verdict.DELIVERED),
        ((400, 422), Verdict.BISECT),
        ((413,), Verdict.SPLIT),
        ((401, 403, 404), Verdict.UNAUTHORIZED),
        ((429,), Verdict.RATE_LIMITED),
        ((None, 408, 425, 500, 502, 503, 504, 599), Verdict.RETRY),
        ((301, 302, 307, 402, 405, 410, 415, 418), Verdict.MISCONFIGURED),
    ],
)
def test_each_status_means_one_thing(statuses: tuple[int | None, ...], expected: Verdict) -> None:
    """The table of the architecture; what it does not name pauses and keeps the events."""
    assert {verdict(status) for status in statuses} == {expected}


@given(st.integers(100, 999))
def test_only_2xx_is_delivered(status: int) -> None:
    """Whatever else comes, an event is not given up for delivered."""
    assert (verdict(status) is Verdict.DELIVERED) == (200 <= status < 300)


@given(failures=st.integers(1, 10_000), random=st.floats(0, 1))
def test_backoff_has_full_jitter_and_a_bound(failures: int, random: float) -> None:
    """Anything from nothing to the doubled wait, never more than the longest."""
    wait = backoff_seconds(failures, 0.5, 60.0, random)
    assert 0 <= wait <= min(60.0, 0.5 * 2 ** min(failures - 1, 50))


def test_backoff_doubles() -> None:
    """Half a second, one, two ... a minute."""
    waits = [backoff_seconds(n, 0.5, 60.0, 1.0) for n in (1, 2, 3, 8, 9)]
    assert waits == [0.5, 1.0, 2.0, 60.0, 60.0]
