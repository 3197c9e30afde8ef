"""Users whose segments changed since the base, whichever of them it is and however often."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from heapline.memberships import MembershipReader, SegmentRow
from state.index_writer import IndexWriter
from tests.small_index import write_index
from tests.state.index_model import Change, raw_changes

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
