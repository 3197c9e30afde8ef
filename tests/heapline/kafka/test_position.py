"""Positions as text."""

from __future__ import annotations

import pytest

from heapline.kafka.position import Position


def test_what_is_written_can_be_read() -> None:
    """It comes back as it was."""
    assert Position.parse(str(Position(11, 4_000_000_000))) == Position(11, 4_000_000_000)


@pytest.mark.parametrize("text", ["", "p1", "p1.", "1.2", "p-1.2", "p1.2.3", "p१.2", "p1.2;x"])
def test_anything_else_is_no_position(text: str) -> None:
    """A caller's text is never trusted."""
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)
