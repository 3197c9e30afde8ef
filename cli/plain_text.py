"""Text for a terminal and for pipes: nothing that came from outside may steer the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def printable(text: str, longest: int | None = None) -> str:
    """Write control characters as escapes, and cut what is too long."""
    safe = "".join(each if each.isprintable() else _escaped(each) for each in text)
    return safe if longest is None or len(safe) <= longest else f"{safe[: longest - 1]}…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay rows out in columns, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()


def reflowed(text: str) -> str:
    """Join the lines of each paragraph, so that a terminal of any width can break them anew."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
