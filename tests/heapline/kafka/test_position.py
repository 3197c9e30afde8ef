"""Positions as text."""

from __future__ import annotations

import pytest

from heapline.kafka.position import Position, segment_digest

DIGEST = "0123456789abcdef"


def test_what_is_written_can_be_read() -> None:
    """It comes back as it was."""
    position = Position(11, 4_000_000_000, DIGEST)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p1",
        "p1.2",
        f"p1..{DIGEST}",
        f"1.2.{DIGEST}",
        f"p-1.2.{DIGEST}",
        f"p1.2.{DIGEST}0",
        f"p१.2.{DIGEST}",
        f"p1.2.{DIGEST};x",
        f"p1.2.{DIGEST.upper()}",
    ],
)
def test_anything_else_is_no_position(text: str) -> None:
    """A caller's text is never trusted."""
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)


def test_a_digest_tells_segments_apart() -> None:
    """Neither a workspace nor the place of a quotation mark makes two segments one."""
    names = [("acme", "7"), ("globex", "7"), ("acme", "8"), ('a"', "b"), ("a", '"b'), ("a", "b😀")]
    assert len({segment_digest(*name) for name in names}) == len(names)
    assert Position.of(1, 2, "acme", "7").segment == segment_digest("acme", "7")
