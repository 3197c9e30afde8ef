"""A segment's members over time, as a small drawing; pure.

It is drawn on the server, so it is there without scripts, and a sentence says the same to those
who cannot see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web.console.data import Change

WIDTH: Final = 640
HEIGHT: Final = 120
_MARGIN: Final = 4
_MOST_STEPS: Final = 200
"""More would not be seen, and make the page longer."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing of steps.

    Attributes:
        line: an SVG path.
        lowest, highest: members, within the time drawn.
        first, last: members at its two ends.
        from_ms, to_ms: the time drawn, milliseconds since 1970-01-01 UTC.
    """

    line: str
    lowest: int
    highest: int
    first: int
    last: int
    from_ms: int
    to_ms: int
    width: int = WIDTH
    height: int = HEIGHT


def plot(changes: Sequence[Change], members: int, now_ms: int) -> Plot | None:
    """Draw from the first change until now; None where nothing changed.

    Args:
        changes: the oldest first.
        members: how many are in now; counted back from there, so that a history that begins late
            does not matter.
        now_ms: milliseconds since 1970-01-01 UTC.
    """
    if not changes:
        return None
    levels = _levels(changes, members)
    from_ms, to_ms = changes[0].at_ms, max(now_ms, changes[-1].at_ms + 1)
    counts = [count for _, count in levels]
    lowest, highest = min(counts), max(counts)
    return Plot(
        _path(levels, (from_ms, to_ms), (lowest, highest)),
        lowest,
        highest,
        counts[0],
        counts[-1],
        from_ms,
        to_ms,
    )


def _levels(changes: Sequence[Change], members: int) -> list[tuple[int, int]]:
    """Give how many were in from each time on, beginning just before the first change."""
    count = members - sum(change.net for change in changes)
    levels = [(changes[0].at_ms, count)]
    stride = -(-len(changes) // _MOST_STEPS)
    for number, change in enumerate(changes, 1):
        count += change.net
        if number % stride == 0 or number == len(changes):
            levels.append((change.at_ms, count))
    return levels


def _path(
    levels: Sequence[tuple[int, int]], times: tuple[int, int], counts: tuple[int, int]
) -> str:
    lowest, highest = counts
    wide, high = WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN

    def across(at_ms: int) -> int:
        return _MARGIN + round(wide * (at_ms - times[0]) / (times[1] - times[0]))

    def down(count: int) -> int:
        return HEIGHT - _MARGIN - round(high * (count - lowest) / max(1, highest - lowest))

    first_ms, first = levels[0]
    steps = "".join(f"H{across(at_ms)}V{down(count)}" for at_ms, count in levels[1:])
    return f"M{across(first_ms)} {down(first)}{steps}H{WIDTH - _MARGIN}"
