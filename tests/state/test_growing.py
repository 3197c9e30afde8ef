"""Columns that are appended to in place, against columns that are copied each time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from state.growing import Growing

steps = st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 99), max_size=9)))


@given(st.lists(st.integers(0, 99), max_size=9), steps)
def test_no_column_changes_whichever_others_are_made_of_it(
    first: list[int], made: list[tuple[int, list[int]]]
) -> None:
    """Each continues any of those before it, the newest or not."""
    columns, wanted = [Growing(np.array(first, np.uint64))], [first]
    for place, rows in made:
        which = place % len(columns)
        columns.append(columns[which].followed_by(np.array(rows, np.uint64)))
        wanted.append(wanted[which] + rows)
        assert [column.rows.tolist() for column in columns] == wanted
        assert [len(column) for column in columns] == [*map(len, wanted)]
    for column, rows in zip(columns, wanted, strict=True):
        for other, others in zip(columns, wanted, strict=True):
            if column.continues(other):
                assert rows[: len(others)] == others


def test_what_is_appended_is_all_that_is_written() -> None:
    """As long as each column continues the newest, rows stay where they are, as a rule."""
    column, moves = Growing(np.zeros(100, np.uint64)), 0
    for _ in range(1_000):
        longer = column.followed_by(np.ones(10, np.uint64))
        moves += not np.shares_memory(longer.rows, column.rows)
        assert longer.continues(column)
        column = longer
    assert moves < 15
    assert not column.continues(Growing(column.rows))
