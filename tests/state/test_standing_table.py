from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.database import Database, Engine
from state.standing_table import StandingTable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Give a file."""
    with Database(tmp_path_factory.mktemp("standing") / "x.duckdb", Engine()) as opened:
        yield opened


@given(fills=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=200), max_size=6))
def test_it_holds_what_it_was_filled_with_last(database: Database, fills: list[list[int]]) -> None:
    """However long the rows of before were, a planned statement reads exactly the last ones."""
    table = StandingTable(database, "given", {"n": np.int32, "even": np.bool_})
    for numbers in fills:
        column = np.array(numbers, np.int32)
        table.fill(n=column, even=column % 2 == 0)
        rows = database.run_planned("SELECT n, even FROM given WHERE present").rows
        assert rows == [(n, n % 2 == 0) for n in numbers]


def test_it_becomes_as_long_as_what_it_holds(database: Database) -> None:
    """A large payload is not read along with every small one after it."""
    table = StandingTable(database, "given", {"n": np.int32}, rows=100)
    lengths = []
    for count in (5, 1_000, 600, 3):
        table.fill(n=np.arange(count, dtype=np.int32))
        lengths.append(database.one("SELECT count(*) FROM given")[0])
    assert lengths == [100, 1024, 1024, 100]
