"""The sliding window against a brute-force count of every event."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.sliding_window import SlidingWindow, Subject

LIMITS = Limits(events_per_minute_per_app=12, events_per_minute_per_identity=5)

SUBJECTS: st.SearchStrategy[Subject] = st.sampled_from(["a", "b", "7", 7])

STEPS = st.lists(
    st.tuples(
        # Steps that add up to exactly 60 seconds are likely: there the boundary lies.
        st.sampled_from([0.0, 0.1, 0.25, 7.3, 20.0, 30.0, 59.9, 60.0, 61.0]),
        st.lists(SUBJECTS, min_size=1, max_size=8).map(Counter),
    ),
    max_size=60,
)


class Oracle:
    """Every accepted event with its time, counted anew for each question."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Subject]] = []

    def allows(self, wanted: Counter[Subject], now: float) -> bool:
        """Whether `wanted` keeps within both limits."""
        recent = [subject for at, subject in self.events if at > now - 60]
        after = Counter(recent) + wanted
        return after.total() <= 12 and max(after.values()) <= 5

    def add(self, accepted: Counter[Subject], now: float) -> None:
        """Remember the events."""
        self.events += [(now, subject) for subject in accepted.elements()]

    def most_in_any_window(self) -> int:
        """The largest number of events in any 60 seconds; it is reached when one arrives."""
        return max(
            (sum(end - 60 < at <= end for at, _ in self.events) for end, _ in self.events),
            default=0,
        )


@settings(deadline=None)
@given(STEPS)
def test_allows_exactly_what_the_limits_allow(
    steps: list[tuple[float, Counter[Subject]]],
) -> None:
    """For any times and any mix of subjects, the window allows what a brute-force count allows."""
    window, oracle, now = SlidingWindow(), Oracle(), 1000.0
    for pause, wanted in steps:
        now += pause
        allowed = window.seconds_until_fits(wanted, LIMITS, now) is None
        assert allowed == oracle.allows(wanted, now)
        if allowed:
            window.add(wanted, now)
            oracle.add(wanted, now)
        assert window.events(now) == sum(at > now - 60 for at, _ in oracle.events)
    assert window.most_events == oracle.most_in_any_window()


@settings(deadline=None)
@given(STEPS)
def test_tells_when_a_refused_request_fits(
    steps: list[tuple[float, Counter[Subject]]],
) -> None:
    """A refused request that can fit at all fits at the time told, and not a second sooner."""
    window, now = SlidingWindow(), 1000.0
    for pause, wanted in steps:
        now += pause
        wait_seconds = window.seconds_until_fits(wanted, LIMITS, now)
        if wait_seconds is None:
            window.add(wanted, now)
        elif max(wanted.values()) <= 5:
            told = now + wait_seconds
            sooner = _copy(window)
            assert sooner.seconds_until_fits(wanted, LIMITS, told - 0.001) is not None
            assert sooner.seconds_until_fits(wanted, LIMITS, told + 0.001) is None


def test_a_request_larger_than_a_limit_never_fits() -> None:
    """It is told a whole window, however often it comes."""
    window = SlidingWindow()
    assert window.seconds_until_fits(_count(a=6), LIMITS, 0.0) == 60.0
    assert window.seconds_until_fits(_count(a=6), LIMITS, 600.0) == 60.0


def test_busiest_subject_is_remembered() -> None:
    """The most events of one subject stays known after its window has passed."""
    window = SlidingWindow()
    window.add(_count(a=3, b=2), 0.0)
    window.add(_count(b=2), 59.0)
    window.add(_count(a=1), 200.0)
    assert window.most_events_of_one_subject == 4
    assert window.most_events == 7


def test_expired_subjects_take_no_memory() -> None:
    """A window in which nothing counts any more holds nothing."""
    window = SlidingWindow()
    for second in range(100):
        window.add(_count(**{f"user {second}": 1}), float(second))
    assert window.events(200.0) == 0
    assert not window._requests
    assert not window._by_subject


def _copy(window: SlidingWindow) -> SlidingWindow:
    twin = SlidingWindow()
    for at, counts in window._requests:
        twin.add(counts, at)
    return twin


def _count(**events: int) -> Counter[Subject]:
    return Counter(events)
