"""Which rows of a column of users are of one user, without a step of Python for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from heapline.memberships.keys import KeyGroup

NOBODY: Final = -1
_FACTOR: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Odd, and without a pattern in its bits: 2**64 divided by the golden ratio."""
_SHIFT: Final = np.uint64(29)


def first_entering(
    groups: Iterable[KeyGroup], asked: NDArray[np.bool_], enters: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Give for each row the first row of the same user that enters.

    Args:
        groups: the users.
        asked: rows that matter.
        enters: rows that enter.

    Returns:
        For each row that is asked its user's first such row, `NOBODY` where there is none, and for
        all others.
    """
    found = np.full(asked.size, NOBODY, np.int64)
    for group in groups:
        mine = np.flatnonzero(asked[group.rows])
        if not mine.size:
            continue
        rows = group.rows[mine]
        users, count = _numbered(group.words[mine])
        entering = np.flatnonzero(enters[rows])[::-1]
        firsts = np.full(count, NOBODY, np.int64)
        # Backwards: of several rows of one user the one assigned last stays, which is the first.
        firsts[users[entering]] = rows[entering]
        found[rows] = firsts[users]
    return found


def _numbered(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], int]:
    """Number equal rows of a matrix alike, from 0; tell how many differ."""
    mixed = np.zeros(len(keys), np.uint64)
    for column in keys.T:
        mixed = (mixed ^ column) * _FACTOR
        mixed ^= mixed >> _SHIFT
    if _differ(np.sort(mixed)).all():  # as a rule: then the rows themselves need not be moved
        return np.arange(len(keys)), len(keys)
    order = np.argsort(mixed)
    is_new = _differ(mixed[order])
    if np.any(_differ(keys[order]) & ~is_new):
        # Two users, one hash: somebody may have chosen their ids so.
        order = np.lexsort(keys.T)
        is_new = _differ(keys[order])
    numbers = np.empty(len(keys), np.int64)
    numbers[order] = np.cumsum(is_new) - 1
    return numbers, int(np.count_nonzero(is_new))


def _differ(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows differ from the one before; the first does."""
    differ = np.ones(len(rows), np.bool_)
    changed = rows[1:] != rows[:-1]
    differ[1:] = changed.any(axis=1) if changed.ndim > 1 else changed
    return differ
