"""Users whose segments changed since the base, whichever of them it is and however often."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heapline.memberships import MembershipReader, SegmentRow
from heapline.memberships.overlay import block_bits, toggle_sections
from state.index_writer import IndexWriter
from tests.small_index import write_index
from tests.state.index_model import Change, raw_changes

if TYPE_CHECKING:
    from numpy.typing import NDArray

USERS: Final = [f"user {number}" for number in range(40)]
SEGMENTS: Final = [str(number) for number in range(4)]
PAIRS: Final = st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(SEGMENTS)))


@given(PAIRS, PAIRS, st.sets(st.sampled_from(SEGMENTS)))
@example({(USERS[-1], "0")}, {(USERS[-1], "0"), (USERS[-1], "3")}, set())
@example(set(), {(user, segment) for user in USERS for segment in SEGMENTS}, set())
def test_changed_users_are_in_what_they_entered(
    before: set[tuple[str, str]], toggled: set[tuple[str, str]], new_users: set[str]
) -> None:
    """Few of them among many, all of them, and new ones behind them."""
    with tempfile.TemporaryDirectory() as folder:
        members = {
            ("acme", segment): [user for user in USERS if (user, segment) in before]
            for segment in SEGMENTS
        }
        rows = [SegmentRow("acme", segment) for segment in (*SEGMENTS, "everybody")]
        write_index(Path(folder), rows, {**members, ("acme", "everybody"): USERS})
        changes = [Change("acme", *pair, pair not in before, 1) for pair in sorted(toggled)]
        changes += [Change("acme", "new", segment, enters=True, at_ms=1) for segment in new_users]
        with IndexWriter.open(Path(folder)) as writer:
            writer.publish(writer.stage(raw_changes(changes)), version=2, position={}, as_of_ms=1)
        reader = MembershipReader(Path(folder))
        for user in USERS:
            inside = sorted(segment for each, segment in before ^ toggled if each == user)
            assert sorted(reader.segments_of("acme", user)) == [*inside, "everybody"]
            found = reader.memberships_of("acme", user)
            assert [segment for segment, _ in found] == [*inside, "everybody"]
        assert sorted(reader.segments_of("acme", "new")) == sorted(new_users)


@given(
    st.sets(st.integers(0, 40) | st.integers(0, 1 << 24), min_size=1, max_size=300),
    st.integers(1, 3),
)
@example({(1 << 24) - 1}, 1)
def test_blocks_say_where_their_users_begin(users: set[int], segments: int) -> None:
    """However many users there are, and wherever among them those stand who changed."""
    pairs = [user << 32 | segment for user in sorted(users) for segment in range(segments)]
    see_blocks(np.array(pairs, np.uint64))


@pytest.mark.parametrize("apart", [1, 4, 50])
def test_blocks_of_very_many_changed_users(apart: int) -> None:
    """Their table does not grow any more."""
    see_blocks(np.arange(0, 1 << 20, apart, dtype=np.uint64) << np.uint64(32))


def see_blocks(toggles: NDArray[np.uint64]) -> None:
    """See that there are about as many as toggles, or as may be, and where they begin."""
    starts = toggle_sections(toggles, {})["toggle_starts"]
    users = (int(toggles[-1]) >> 32) + 1
    fewest = min(toggles.size, users, 1 << 15)
    assert fewest <= starts.size - 1 <= min(2 * toggles.size, users, 1 << 16)
    begins = np.arange(starts.size) << block_bits(toggles)
    assert np.array_equal(starts, np.searchsorted(toggles >> np.uint64(32), begins))
    assert starts[-1] == toggles.size
