"""The rate of a paced sender, read off what arrived."""

from __future__ import annotations

from collections import Counter

from bench.pacing import Arrival, Paced, hot_events, windows

MINUTE = 60_000


def steadily(events_per_second: int, seconds: int) -> list[Arrival]:
    """Let events arrive once a second."""
    return [Arrival(second * 1_000, events_per_second) for second in range(seconds)]


def test_a_steady_stream_fills_every_minute_alike() -> None:
    """250 a second are 15,000 a minute, in each minute that had ended."""
    found = windows(steadily(250, 185))
    assert set(found) == {15_000}
    assert len(found) == 65


def test_bursts_once_a_minute_have_the_rate_of_a_steady_stream() -> None:
    """Where in a minute the events lie makes no difference."""
    bursts = [Arrival(minute * MINUTE + 100, 15_000) for minute in range(5)]
    assert set(windows(bursts)) == {15_000}


def test_the_first_minute_does_not_count() -> None:
    """Budgets fill in it: what it lacks is no miss."""
    late = [Arrival(0, 1), *(Arrival(MINUTE + s * 1_000, 10) for s in range(125))]
    assert set(windows(late)) == {600}


def test_a_stream_that_dries_up_is_seen() -> None:
    """Half a minute of nothing shows in the least minute and in the mean."""
    gap = [a for a in steadily(250, 240) if not 90_000 <= a.at_ms < 120_000]
    paced = Paced("app", 15_000, windows(gap), 15_000)
    assert min(paced.windows) == 7_500
    assert 0.5 < paced.share < 0.98


def test_too_short_a_run_has_no_rate() -> None:
    """And so no share of what is permitted."""
    assert windows([]) == []
    assert Paced("app", 15_000, windows(steadily(250, 100)), 15_000).share == 0.0


def test_nine_of_ten_hot_events_are_one_users() -> None:
    """The others are spread over many."""
    users = Counter(event.user_id for event in hot_events(1_000, MINUTE))
    assert users.most_common(1)[0][1] == 900
    assert len(users) == 51
