"""Cutting a page into parts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.segment_sync.writes import PageChanges, Writes, parts_of
from heapline.words import SegmentId, UserId, Workspace


def _changes(enters: int, leaves: int) -> PageChanges:
    return PageChanges(
        Workspace("acme"),
        SegmentId("7"),
        1,
        "s1",
        [UserId(f"in{number}") for number in range(enters)],
        [UserId(f"out{number}") for number in range(leaves)],
    )


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_parts_make_the_whole(enters: int, leaves: int, most: int) -> None:
    """Nobody is left out or named twice; none but the last part is smaller than it may be."""
    whole = _changes(enters, leaves)
    parts = parts_of(whole, most)
    assert [user for part in parts for user in part.enters] == whole.enters
    assert [user for part in parts for user in part.leaves] == whole.leaves
    assert all(len(part) == most for part in parts[:-1])
    assert len(parts[-1]) <= most


def test_nothing_to_write_is_one_empty_part() -> None:
    """A drain of nobody has a last part, too, and writes nothing."""
    (part,) = parts_of(_changes(0, 0), 10)
    written = Writes()
    written.add(part)
    assert not written
