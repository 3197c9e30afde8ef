"""What measurements hand in, and the arithmetic behind medians, spreads and targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Section:
    """One measurement's share of the report.

    Attributes:
        title: its heading.
        lines: what people read.
        figures: the same for scripts; plain JSON.
    """

    title: str
    lines: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Give heading and lines."""
        return "\n".join([f"== {self.title} ==", *self.lines])


@dataclass(frozen=True, slots=True)
class Spread:
    """Several readings of one quantity.

    Attributes:
        middle: the median.
        least, most: the extremes.
    """

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, readings: Sequence[float]) -> Spread:
        """Sum readings up.

        Raises:
            ValueError: there are none.
        """
        if not readings:
            raise ValueError("no readings")
        return cls(median(readings), min(readings), max(readings))

    def __str__(self) -> str:
        return f"{self.middle:,.0f} ({self.least:,.0f}-{self.most:,.0f})"

    def figures(self) -> dict[str, float]:
        """Give it for JSON."""
        return {"median": self.middle, "least": self.least, "most": self.most}


def quantile(readings: Sequence[float], share: float) -> float:
    """Give the smallest reading that at least this share of all readings does not exceed.

    Raises:
        ValueError: there are none.
    """
    if not readings:
        raise ValueError("no readings")
    ordered = sorted(readings)
    rank = -(-share * len(ordered) // 1)  # rounded up
    return ordered[min(len(ordered), max(1, int(rank))) - 1]


def judged(value: float, target: float, *, at_most: bool = False) -> str:
    """Say whether a target was reached."""
    reached = value <= target if at_most else value >= target
    return "PASS" if reached else "MISSED"


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Align cells in columns, the first to the left and the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
