"""Enters and leaves written into the history, and what they come to into the memberships.

What is written stands in one transaction of the caller's. Codes are given here to *moments* (when,
by which sync, why), of which many changes share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from state.errors import StoreOutOfStep
from state.index_pairs import in_order, pairs_of
from state.payload import NO_SYNC
from state.standing_table import StandingTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from state.database import Database
    from state.payload import Changes

CAUSE_SYNC: Final = "sync"
_ROWS: Final = 1 << 14
"""Room for the changes of a payload; more where one has more."""
_MOMENTS: Final = {"code": np.uint32, "at_ms": np.int64, "sync": np.int32, "version": np.int64}
_HAPPENED: Final = {
    "segment": np.uint32,
    "person": np.uint32,
    "enters": np.bool_,
    "moment": np.uint32,
    "ends": np.bool_,
    "stays": np.bool_,
}
"""`ends`: it ends a membership of before; `stays`: it begins one that is there afterwards."""
_ENDED: Final = "FROM happened WHERE present AND ends"
_ADD_MOMENTS: Final = (
    f"INSERT INTO stored.moment SELECT code, at_ms, nullif(sync, {NO_SYNC}), '{CAUSE_SYNC}',"
    " version FROM moments WHERE present"
)
_ADD_MEMBERSHIPS: Final = (
    "INSERT INTO stored.membership SELECT segment, person, moment FROM happened"
    " WHERE present AND stays"
)
_ADD_HISTORY: Final = (
    "INSERT INTO stored.history SELECT segment, person, enters, moment FROM happened WHERE present"
)


class ChangeWriter:
    """Writes changes into one file.

    Args:
        database: the store's; every call of `write` is in a transaction of it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moments = StandingTable(database, "moments", _MOMENTS)
        self._happened = StandingTable(database, "happened", _HAPPENED, _ROWS)

    def write(self, changes: Changes, syncs: Mapping[str, int], first: int, version: int) -> int:
        """Write down what happened, and who is in now.

        Args:
            changes: in order; those of one page stand together and share a moment.
            syncs: codes of at least the syncs they name.
            first: the next moment's code.
            version: the store's, once they are applied.

        Returns:
            The next moment's code after them.

        Raises:
            ValueError: a pair's changes are not enters and leaves by turns.
            StoreOutOfStep: somebody leaves who is not in.
        """
        if not len(changes):
            return first
        moment, following = self._add_moments(changes, syncs, first, version)
        columns = _happened(changes, moment)
        self._happened.fill(**columns)
        self._remove(columns["segment"][columns["ends"]])
        if columns["stays"].any():
            self._database.run_planned(_ADD_MEMBERSHIPS)
        if following > first + 1:
            self._happened.fill(**_by_moment(columns))
        self._database.run_planned(_ADD_HISTORY)
        return following

    def _add_moments(
        self, changes: Changes, syncs: Mapping[str, int], first: int, version: int
    ) -> tuple[NDArray[np.uint32], int]:
        """Give the moment of each change, and the next one's code."""
        is_first = np.ones(len(changes), np.bool_)
        is_first[1:] = changes.at_ms[1:] != changes.at_ms[:-1]
        is_first[1:] |= changes.sync[1:] != changes.sync[:-1]
        starts = np.flatnonzero(is_first)
        following = first + int(starts.size)
        named = np.array([*map(syncs.__getitem__, changes.sync_id), NO_SYNC], np.int32)
        self._moments.fill(
            code=np.arange(first, following, dtype=np.uint32),
            at_ms=changes.at_ms[starts],
            sync=named[changes.sync[starts]],
            version=np.full(starts.size, version),
        )
        self._database.run_planned(_ADD_MOMENTS)
        return (np.cumsum(is_first) - 1 + first).astype(np.uint32), following

    def _remove(self, ended: NDArray[np.uint32]) -> None:
        """Take out the memberships that end.

        Args:
            ended: the segment of each.
        """
        if not ended.size:
            return
        segments = np.unique(ended).tolist()
        # Naming the segments lets DuckDB pass over the parts of the table that hold others, and
        # people alone are looked for more quickly than pairs, even where some are then of others.
        sql = (
            f"DELETE FROM stored.membership WHERE segment IN ({', '.join(map(str, segments))})"
            f" AND person IN (SELECT person {_ENDED})"
        )
        if len(segments) > 1:
            sql += f" AND (segment, person) IN (SELECT (segment, person) {_ENDED})"
        removed = self._database.run(sql).value
        if removed != ended.size:
            found = f"{ended.size:,} memberships end and {removed:,} of them are there"
            raise StoreOutOfStep(self._database.path, found)


def _happened(changes: Changes, moment: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
    """Give the rows of `happened`, by pair, as memberships pack best."""
    order, pairs = in_order(pairs_of(changes.segment, changes.user))  # by segment first
    enters = changes.enters[order]
    is_last = np.ones(pairs.size, np.bool_)
    is_last[:-1] = pairs[1:] != pairs[:-1]
    is_first = np.roll(is_last, 1)
    if np.any(~is_first[1:] & (enters[1:] == enters[:-1])):
        raise ValueError("a user enters or leaves a segment twice in a row")
    return {
        "segment": changes.segment[order],
        "person": changes.user[order],
        "enters": enters,
        "moment": moment[order],
        "ends": is_first & ~enters,
        "stays": is_last & enters,
    }


def _by_moment(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Order rows by moment, and within one as before, as history packs best."""
    order = np.argsort(columns["moment"], kind="stable")
    return {name: column[order] for name, column in columns.items()}
