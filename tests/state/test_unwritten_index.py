"""What stands for the index while a store is built stages exactly as the index does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.memberships.keys import KeyGroup, key_groups
from state.index_new_users import first_entering
from state.index_writer import IndexWriter
from state.unwritten_index import UnwrittenIndex
from tests.state.index_model import Change, raw_changes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from state.index_staging import Staged

WORKSPACES = st.sampled_from(["acme", "umbrella"])
USERS = st.sampled_from(["", "u", "v", "ü", "user-1", "user-2", "x" * 70, "🙂"])
CHANGES = st.builds(
    Change,
    WORKSPACES,
    USERS,
    st.sampled_from("st"),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from([None, "sync", "other"]),
)


def told(staged: Staged) -> dict[str, object]:
    """Give everything staged as plain values."""
    users, segments, changes = staged.new_users, staged.new_segments, staged.changes
    return {
        "workspaces": staged.new_workspaces,
        "users": (users.workspace.tolist(), users.user_id),
        "segments": (segments.workspace.tolist(), segments.segment_id),
        "changes": [
            getattr(changes, each).tolist() for each in ("user", "segment", "enters", "at_ms")
        ],
        "syncs": (changes.sync.tolist(), changes.sync_id),
    }


@settings(deadline=None)  # files are written
@given(batches=st.lists(st.lists(CHANGES, max_size=12), max_size=5))
def test_both_stage_alike(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Change]]
) -> None:
    """Any changes get the same codes, and the same of them are effective."""
    folder: Path = tmp_path_factory.mktemp("index")
    unwritten = UnwrittenIndex()
    with IndexWriter.build(folder) as written:
        for version, batch in enumerate(batches, 1):
            raw = raw_changes(batch)
            rows = [("acme", "s")] if version == 1 else []
            both = unwritten.stage(raw, rows), written.stage(raw, rows)
            assert told(both[0]) == told(both[1])
            unwritten.publish(both[0], version=version, position={}, as_of_ms=0)
            written.publish(both[1], version=version, position={}, as_of_ms=0)


@given(rows=st.lists(st.tuples(USERS, st.booleans(), st.booleans()), max_size=20))
def test_new_users_are_found_by_their_first_enter(rows: list[tuple[str, bool, bool]]) -> None:
    """As a search row by row would find it; what is not asked for is nobody."""
    users = [user for user, _, _ in rows]
    asked, enters = (np.array([row[n] for row in rows], np.bool_) for n in (1, 2))
    groups = list(key_groups(users, 7)) if users else []
    expected = [
        next((n for n, row in enumerate(rows) if row == (user, True, True)), -1) if is_asked else -1
        for user, is_asked, _ in rows
    ]
    assert first_entering(groups, asked, enters).tolist() == expected


def test_users_whose_hashes_are_equal_stay_apart() -> None:
    """Ids can be chosen so that their mixed words collide; then whole keys are compared."""
    factor, shift, mask = 0x9E37_79B9_7F4A_7C15, 29, 2**64 - 1

    def mixed(word: int) -> int:
        product = word * factor & mask
        return product ^ product >> shift

    first, second = (
        int.from_bytes(b"\x07\0\0aaaaa", "little"),
        int.from_bytes(b"\x07\0\0bbbbb", "little"),
    )
    tail = int.from_bytes(b"cccccccc", "little")
    other = tail ^ mixed(first) ^ mixed(second)
    words = np.array([[first, tail], [second, other], [first, tail]], np.uint64)
    group = KeyGroup(np.arange(3), 15, words, np.zeros(3, np.uint32))
    every = np.ones(3, np.bool_)
    assert first_entering([group], every, every).tolist() == [0, 1, 0]
