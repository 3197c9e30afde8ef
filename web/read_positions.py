"""How far an answer has come, and how far a caller wants it to have come at least.

An answer about one segment has come as far as that segment. An answer about a whole workspace has
come as far as the newest segment of each partition of the pages topic: a list, like any HTTP header
that may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.kafka.position import AT_LEAST_HEADER, Position
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.memberships import Memberships, SegmentRow


def position_of(row: SegmentRow) -> str:
    """Give how far a segment has come."""
    del row
    return ""


def newest_positions(rows: Iterable[SegmentRow]) -> str:
    """Give how far the newest segment of each partition has come."""
    del rows
    return ""


def wanted_positions(header: str) -> tuple[Position, ...]:
    """Read `Heapline-At-Least`.

    Raises:
        Problem: 400 where it is not what `Heapline-Position` gave.
    """
    try:
        return tuple(Position.parse(each) for each in header.split(",") if each.strip())
    except ValueError as error:
        raise Problem(400, "invalid-position", f"{AT_LEAST_HEADER}: {error}") from None


def reached(view: Memberships, wanted: Iterable[Position]) -> bool:
    """Tell whether a generation has come so far."""
    del view, wanted
    return True
