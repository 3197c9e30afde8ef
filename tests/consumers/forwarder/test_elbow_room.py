"""What each identity has left while a request is put together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.budget import Budget
from consumers.forwarder.elbow_room import ElbowRoom
from consumers.forwarder.row_budget import hashes_of

if TYPE_CHECKING:
    from consumers.forwarder.row_budget import Hashes

identities = st.sampled_from(["a", "b", "ü"])
loads = st.lists(identities | st.lists(identities, min_size=1, max_size=4), max_size=12)


def rows(*of: str) -> Hashes:
    """Make rows of these identities."""
    return hashes_of(pl.Series(of))


def test_nobody_gets_more_than_the_allowance_whether_as_record_or_as_row() -> None:
    """What is held already counts, and what goes along."""
    budget = Budget(1_000, 3, started_at=-1_000.0)
    budget.hold(1, {"a": 1}, [rows("a", "b")])
    room = ElbowRoom(budget, 3)
    assert not room.take_rows(rows("a", "a"))
    assert room.take_rows(rows("a", "b"))
    assert not room.take("a")
    assert room.take("b")
    assert not room.take_rows(rows("b"))
    assert room.take("c")


@given(loads, loads, st.integers(0, 5))
def test_it_admits_exactly_what_counting_one_by_one_would(
    held: list[str | list[str]], asked: list[str | list[str]], allowance: int
) -> None:
    """However records and rows alternate; rows go all together or not at all."""
    budget = Budget(1_000, allowance, started_at=-1_000.0)
    used = Counter[str]()
    for number, each in enumerate(held):
        records, hashes = ({each: 1}, []) if isinstance(each, str) else ({}, [rows(*each)])
        budget.hold(number, records, hashes)
        used.update([each] if isinstance(each, str) else each)
    room = ElbowRoom(budget, allowance)
    for each in asked:
        wanted = Counter([each] if isinstance(each, str) else each)
        fits = all(used[name] + count <= allowance for name, count in wanted.items())
        admitted = room.take(each) if isinstance(each, str) else room.take_rows(rows(*each))
        assert admitted == fits
        used.update(wanted if fits else {})


def test_counts_are_right_again_after_nobody_asked_for_a_while() -> None:
    """They are forgotten meanwhile, for keeping them up to date costs each request."""
    budget = Budget(1_000, 100, started_at=-1_000.0)
    for request in range(4):
        budget.hold(request, {}, [rows("a", "b")])
        if request == 0:
            assert budget.identity_used("a") == 1
    assert budget.identity_used("a") == 4
    budget.refused(2)
    budget.hold(4, {}, [rows("b")])
    assert (budget.identity_used("a"), budget.identity_used("b")) == (3, 4)
