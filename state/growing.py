"""Columns that are appended to in place, while what was given before stays as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class _Room:
    """What columns that continue each other share.

    Attributes:
        whole: their rows, and room for more.
        taken: how many rows are some column's.
    """

    whole: NDArray[Any]
    taken: int


class Growing:
    """A column that never changes; others continue it, as a rule without copying it.

    Attributes:
        rows: what is in it.
    """

    __slots__ = ("_room", "rows")

    def __init__(self, rows: NDArray[Any], room: _Room | None = None) -> None:
        self.rows = rows
        self._room = room or _Room(rows, rows.size)

    def __len__(self) -> int:
        return self.rows.size

    def followed_by(self, more: NDArray[Any]) -> Growing:
        """Append rows."""
        if not more.size:
            return self
        first, end = self.rows.size, self.rows.size + more.size
        room = self._room
        if room.taken != first:  # another column took the rows behind this one
            room = _Room(self.rows, first)
        if room.whole.size < end:
            room.whole = np.empty(end + end // 2, self.rows.dtype)
            room.whole[:first] = self.rows
        room.whole[first:end] = more
        room.taken = end
        return Growing(room.whole[:end], room)

    def continues(self, other: Growing) -> bool:
        """Tell whether this one was made by appending to another, or to what was made so."""
        return self._room is other._room and len(self) >= len(other)
