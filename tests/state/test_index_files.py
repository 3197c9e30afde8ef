"""The files of an index, written in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.index_files import left_of


@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 30))
def test_what_is_left_of_pieces(pieces: list[bytes], written: int) -> None:
    """It is what stands behind that in all of them together."""
    left = left_of([memoryview(piece) for piece in pieces], written)
    assert b"".join(left) == b"".join(pieces)[written:]
