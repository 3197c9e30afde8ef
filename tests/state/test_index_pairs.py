"""Sorted columns and what changes them, against sets; merges at any moment, against none."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.memberships.base import open_base
from state.index_base import BaseColumns
from state.index_delta import Delta
from state.index_files import IndexFiles
from state.index_merge import Merged, write_merged
from state.index_pairs import Toggling, pairs_of, segments_of, stand_behind, toggled, users_of
from state.payload import Changes, KnownMemberships, KnownUsers, NewUsers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.memberships.base import Base

pairs = st.sets(st.integers(0, 40), max_size=40).map(
    lambda found: np.array(sorted(found), np.uint64)
)
batches = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=12),
    min_size=2,
    max_size=6,
)
SEGMENTS = 3


@given(pairs, pairs)
def test_toggling_is_the_exclusive_or(column: np.ndarray, toggles: np.ndarray) -> None:
    """In order; and a column beside the pairs goes along with them."""
    wanted = sorted({*column.tolist()} ^ {*toggles.tolist()})
    assert toggled(column, toggles).tolist() == wanted
    toggling = Toggling.of(column, toggles)
    beside = toggling.apply(column * np.uint64(2), toggling.added * np.uint64(2))
    assert beside.tolist() == [2 * pair for pair in wanted]


@given(pairs, pairs, st.integers(35, 45))
def test_pairs_of_new_users_stand_behind_all_others(
    column: np.ndarray, toggles: np.ndarray, further: int
) -> None:
    """Then nothing is to be moved; only then is it taken to be so."""
    toggles = toggles + np.uint64(further)
    behind = not {each for each in toggles.tolist() if each <= max(column.tolist(), default=-1)}
    assert stand_behind(column, toggles) is behind
    assert toggled(column, toggles).tolist() == sorted({*column.tolist()} ^ {*toggles.tolist()})


@given(st.lists(st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)), max_size=20))
def test_pairs_come_apart_again(named: list[tuple[int, int]]) -> None:
    """As they were put together, and ordered by user first."""
    users, segments = (np.array([each[at] for each in named], np.int64) for at in (0, 1))
    joined = pairs_of(users, segments)
    assert users_of(joined).tolist() == users.tolist()
    assert segments_of(joined).tolist() == segments.tolist()
    assert np.argsort(joined, kind="stable").tolist() == sorted(
        range(len(named)), key=lambda at: named[at]
    )


class History:
    """Changes that are all effective: a pair that is named enters and leaves by turns."""

    def __init__(self) -> None:
        self.entered_at_ms: dict[tuple[int, int], int] = {}
        self.users = 0
        self._now_ms = 1_000

    def apply(self, delta: Delta, named: Sequence[tuple[int, int]]) -> Delta:
        """Toggle the pairs one after the other; each batch knows one more user."""
        enters, times = [], []
        for pair in named:
            self._now_ms += 1
            enters.append(pair not in self.entered_at_ms)
            times.append(self._now_ms)
            if enters[-1]:
                self.entered_at_ms[pair] = self._now_ms
            else:
                del self.entered_at_ms[pair]
        changes = Changes(
            np.array([user for user, _ in named], np.uint32),
            np.array([segment for _, segment in named], np.uint32),
            np.array(enters, np.bool_),
            np.array(times, np.int64),
        )
        self.users += 1
        new = NewUsers(np.zeros(1, np.uint32), [f"new user {self.users}"])
        return delta.after(changes, new)


def first_base(files: IndexFiles) -> Base:
    """Write a base of six users and nobody in anything."""
    users = KnownUsers(np.zeros(6, np.uint32), np.array([f"u{n}" for n in range(6)], np.object_))
    nothing = np.empty(0, np.uint32)
    columns = BaseColumns.known(
        users, SEGMENTS, KnownMemberships.of(nothing, nothing, np.empty(0, np.int64))
    )
    return open_base(files.write("base", "base", columns.facts(1), columns.sections()))


def told(base: Base, delta: Delta) -> dict[tuple[int, int], int]:
    """Read memberships and times out of a base and what differs from it."""
    found = {}
    held = toggled(base.pairs(), delta.toggles)
    entered = dict(zip(delta.entered.tolist(), delta.entered_ms.tolist(), strict=True))
    for pair in held.tolist():
        user, segment = pair >> 32, pair & 0xFFFF_FFFF
        at_ms = entered.get(pair, base.entered_at_ms(user, segment))
        assert at_ms is not None
        found[user, segment] = at_ms
    for segment in range(SEGMENTS):
        nobody = base.bitmap(segment) - base.bitmap(segment)
        members = base.bitmap(segment) ^ delta.bitmaps.get(segment, nobody)
        assert {*members} == {user for user, each in found if each == segment}
    return found


@settings(max_examples=60, deadline=None)
@given(batches, st.data())
def test_a_merge_may_end_at_any_later_moment(
    all_batches: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """Changes made between its begin and its end are neither lost nor made twice."""
    begins = data.draw(st.integers(0, len(all_batches) - 1))
    ends = data.draw(st.integers(begins, len(all_batches) - 1))
    with tempfile.TemporaryDirectory() as folder:
        files, history = IndexFiles(Path(folder)), History()
        base = first_base(files)
        delta, merged = Delta.none(base.users), None
        for place, named in enumerate(all_batches):
            delta = history.apply(delta, named)
            if place == begins:
                merged = write_merged(files, "merged", base, delta, SEGMENTS)
            if place == ends:
                assert isinstance(merged, Merged)
                delta, base = delta.without(merged.delta, merged.base.users), merged.base
            assert told(base, delta) == history.entered_at_ms
            known = [base.dictionary.text(code) for code in range(base.users)]
            known += [
                delta.users.dictionary.text(base.users + at) for at in range(len(delta.users))
            ]
            assert known[6:] == [f"new user {number + 1}" for number in range(history.users)]
