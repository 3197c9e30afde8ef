"""How far an answer has come, and how far a caller wants it to have come at least.

An answer about one segment has come as far as that segment. An answer about a whole workspace has
come as far as the newest segment of each partition of the pages topic: a list, like any HTTP header
that may be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heapline.kafka.position import AT_LEAST_HEADER, Position
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.memberships import Memberships, SegmentRow

_MOST: Final = 1_000
"""More positions in one header are no header this server ever wrote."""


def position_of(row: SegmentRow) -> str:
    """Give how far a segment has come; empty before its first page."""
    if row.pages_offset < 0:
        return ""
    place = row.pages_partition, row.pages_offset
    return str(Position.of(*place, row.workspace, row.segment_id))


def newest_positions(rows: Iterable[SegmentRow]) -> str:
    """Give how far the newest segment of each partition has come."""
    newest: dict[int, SegmentRow] = {}
    for row in rows:
        known = newest.get(row.pages_partition)
        if known is None or row.pages_offset > known.pages_offset:
            newest[row.pages_partition] = row
    return ", ".join(filter(None, (position_of(newest[each]) for each in sorted(newest))))


def wanted_positions(header: str) -> tuple[Position, ...]:
    """Read `Heapline-At-Least`.

    Raises:
        Problem: 400 where it is not what `Heapline-Position` gave.
    """
    given = header.split(",", _MOST)
    try:
        return tuple(Position.parse(each) for each in given)
    except ValueError as error:
        raise Problem(400, "invalid-position", f"{AT_LEAST_HEADER}: {error}") from None


def reached(view: Memberships, wanted: Iterable[Position]) -> bool:
    """Tell whether a generation has come so far."""
    return all(map(view.has_reached, wanted))
