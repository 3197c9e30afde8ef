"""Heap's two limits, held from before sending until a minute after the answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.forwarder.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping


def full(app: int = 100, identity: int = 10) -> Budget:
    """Make a budget that filled long ago."""
    return Budget(app, identity, started_at=-1_000.0)


def test_budget_is_held_from_sending_until_a_minute_after_the_answer() -> None:
    """Nobody knows when in between Heap counted."""
    budget = full()
    budget.hold(1, {"a": 4, "b": 1})
    assert (budget.room(0.0), budget.identity_used("a")) == (95, 4)
    budget.advance(500.0)
    assert budget.room(500.0) == 95, "the answer never came"
    budget.answered(1, 500.0)
    assert budget.advance(559.9) == []
    assert budget.room(559.9) == 95
    assert set(budget.advance(560.0)) == {"a", "b"}
    assert (budget.room(560.0), budget.identity_used("a")) == (100, 0)


def test_a_refused_request_gives_its_budget_back_and_says_whose() -> None:
    """Heap counted none of it; records held back for these identities may go on."""
    budget = full()
    budget.hold(1, {"a": 10})
    budget.refused(1)
    assert budget.room(0.0) == 100
    assert budget.advance(0.0) == ["a"]
    assert budget.advance(0.0) == []


def test_a_new_budget_is_empty_and_fills_evenly() -> None:
    """A predecessor may have used everything up to the moment of the handover."""
    budget = Budget(600, 60, window_seconds=60.0, started_at=100.0)
    assert [budget.room(100.0 + s) for s in (0, 1, 30, 60, 90)] == [0, 10, 300, 600, 600]
    assert [budget.identity_allowance(100.0 + s) for s in (0, 1, 30, 60, 90)] == [0, 1, 30, 60, 60]
    assert budget.room(50.0) == 0
    assert budget.filling(159.9)
    assert not budget.filling(160.0)


def test_it_says_when_there_will_be_more_room() -> None:
    """While it fills, soon; then with the next release; else only an answer can tell."""
    budget = Budget(60, 60, window_seconds=60.0, started_at=0.0)
    assert budget.next_change(10.0) == 11.0
    assert budget.next_change(100.0) is None
    budget.hold(1, {"a": 1})
    assert budget.next_change(100.0) is None
    budget.answered(1, 100.0)
    assert budget.next_change(101.0) == 160.0


@dataclass
class Oracle:
    """The same rule, counted anew each time."""

    held: dict[int, tuple[float, float | None, Mapping[str, int]]] = field(default_factory=dict)

    def used(self, now: float) -> Counter[str]:
        """Give what counts now, by identity."""
        used: Counter[str] = Counter()
        for _, answered_at, identities in self.held.values():
            if answered_at is None or now < answered_at + 60.0:
                used.update(identities)
        return used


steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "answer", "refuse", "wait"]),
        st.floats(0.0, 40.0),
        st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1),
        st.integers(0, 5),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps=steps)
def test_it_counts_as_a_brute_force_oracle_does(
    steps: list[tuple[str, float, dict[str, int], int]],
) -> None:
    """After any sends, answers, refusals and waits."""
    budget, oracle, now = Budget(1_000, 100, started_at=0.0), Oracle(), 0.0
    for number, (what, seconds, identities, which) in enumerate(steps):
        now += seconds
        freed_before = oracle.used(now - seconds)
        in_flight = [i for i, (_, answered_at, _) in oracle.held.items() if answered_at is None]
        if what == "send":
            budget.hold(number, identities)
            oracle.held[number] = (now, None, identities)
        elif what != "wait" and in_flight:
            chosen = in_flight[which % len(in_flight)]
            if what == "answer":
                budget.answered(chosen, now)
                oracle.held[chosen] = (0.0, now, oracle.held[chosen][2])
            else:
                budget.refused(chosen)
                del oracle.held[chosen]
        released = set(budget.advance(now))
        used = oracle.used(now)
        assert budget.used == used.total()
        assert all(budget.identity_used(i) == used[i] for i in "abcd")
        assert budget.room(now) == int(1_000 * min(1.0, now / 60.0)) - used.total()
        less = {i for i in "abcd" if used[i] < freed_before[i]}
        assert less <= released, "who has more room must be told"
