"""Ids in one piece are the texts they were made of, whatever is taken from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.memberships.keys import key_groups
from state.user_ids import UserIds

IDS = st.lists(
    st.sampled_from(["u", "v", "", "\n", "a\nb", "ü", "w\0"])
    | st.text(st.characters(codec="utf-8"), max_size=5),
    max_size=8,
) | st.lists(st.text("abc\n", min_size=3, max_size=3), max_size=8)


@given(IDS)
def test_texts_come_back(ids: list[str]) -> None:
    """Line ends within them, too."""
    column = UserIds.of(ids)
    assert (column.texts(), [*column], len(column)) == (ids, ids, len(ids))


@given(ids=IDS, cuts=st.tuples(st.integers(0, 8), st.integers(0, 8)), data=st.data())
def test_some_of_them_are_taken(ids: list[str], cuts: tuple[int, int], data: st.DataObject) -> None:
    """Neighbours as of a list, and any rows in any order."""
    column, (start, stop) = UserIds.of(ids), sorted(cuts)
    assert column.part(start, stop).texts() == ids[start:stop]
    rows = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=5)) if ids else []
    assert column.at(np.array(rows, np.int64)).texts() == [ids[row] for row in rows]


@given(st.lists(IDS, max_size=4))
def test_columns_are_joined(parts: list[list[str]]) -> None:
    """In order, with empty ones among them."""
    joined = UserIds.joined([UserIds.of(part) for part in parts])
    assert joined.texts() == [each for part in parts for each in part]


@given(IDS.filter(bool))
def test_keys_are_those_of_the_texts(ids: list[str]) -> None:
    """Of each length, at the same rows, with the same hashes."""
    found = [(g.rows.tolist(), g.words.tolist(), g.hashes.tolist()) for g in key_groups(ids, 3)]
    column = UserIds.of(ids).key_groups(3)
    assert [(g.rows.tolist(), g.words.tolist(), g.hashes.tolist()) for g in column] == found
    assert [*UserIds().key_groups(3)] == []


def test_what_has_no_utf8_is_refused() -> None:
    """As when a key is made of it."""
    with pytest.raises(UnicodeEncodeError):
        UserIds.of(["\ud800"])
