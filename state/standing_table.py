"""Columns that stay registered as a table, so that a statement over them is planned only once.

To register columns, to plan a statement over them and to let go of them takes as long as writing
some thousand rows. Here all of that is done once: what is to be written next is copied into the
same arrays. They are longer than it, so every statement is to read only what is `present`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from state.database import Database

PRESENT: Final = "present"
"""A column of every such table: true for the rows of the last `fill`, which stand first."""
_LEAST_ROWS: Final = 16
_WASTE: Final = 4
"""So many times longer than what it holds it may be, before it costs more to read than to make."""


class StandingTable:
    """A table in memory whose rows are replaced, never its name.

    Args:
        database: where statements read it.
        name: of the table.
        kinds: numpy types by column, in order.
        rows: for how many there is room at least.
    """

    def __init__(
        self, database: Database, name: str, kinds: Mapping[str, Any], rows: int = _LEAST_ROWS
    ) -> None:
        self._database, self._name = database, name
        self._kinds = {**kinds, PRESENT: np.bool_}
        self._least = rows
        self._make_room(rows)

    def fill(self, **columns: NDArray[Any]) -> None:
        """Replace the rows.

        Args:
            columns: all of them, of one length.
        """
        count = len(next(iter(columns.values())))
        if count > self._rows or count * _WASTE < self._rows > self._least:
            self._make_room(count)
        for name, column in columns.items():
            self._columns[name][:count] = column
        self._columns[PRESENT][:count] = True
        self._columns[PRESENT][count:] = False

    def _make_room(self, rows: int) -> None:
        self._rows = max(self._least, 1 << (rows - 1).bit_length())
        self._columns = {name: np.zeros(self._rows, kind) for name, kind in self._kinds.items()}
        self._database.register(self._name, self._columns)
