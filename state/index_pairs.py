"""Sorted columns of memberships, each as `user << 32 | segment`, and what changes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHIFT = np.uint64(32)


def pairs_of(users: NDArray[Any], segments: NDArray[Any]) -> NDArray[np.uint64]:
    """Join codes of users and segments, none negative."""
    return (users.astype(np.uint64) << _SHIFT) | segments.astype(np.uint64)


def users_of(pairs: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Give the users' codes."""
    return (pairs >> _SHIFT).astype(np.uint32)


def segments_of(pairs: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Give the segments' codes."""
    return pairs.astype(np.uint32)


def places_in(
    column: NDArray[np.uint64], pairs: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Tell where pairs stand in a sorted column, or would, and which of them do."""
    places = np.searchsorted(column, pairs)
    if not column.size:
        return places, np.zeros(pairs.size, np.bool_)
    found: NDArray[np.bool_] = column.take(places, mode="clip") == pairs
    return places, found


def stand_behind(column: NDArray[np.uint64], pairs: NDArray[np.uint64]) -> bool:
    """Tell whether all pairs come after a column's, as those of new users do; both ascend."""
    return not column.size or not pairs.size or bool(pairs[0] > column[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Toggling:
    """How a sorted column changes when pairs that are in go out, and others come in.

    Attributes:
        kept: which of its rows stay.
        at: where rows come in, as places in what stays.
        added: the pairs that come in.
    """

    kept: NDArray[np.bool_]
    at: NDArray[np.int64]
    added: NDArray[np.uint64]

    @classmethod
    def of(cls, column: NDArray[np.uint64], toggles: NDArray[np.uint64]) -> Toggling:
        """Compare a column with toggles, both ascending and without repetition."""
        places, found = places_in(column, toggles)
        gone, at = places[found], places[~found]
        kept = np.ones(column.size, np.bool_)
        kept[gone] = False
        return cls(kept, at - np.searchsorted(gone, at), toggles[~found])

    def apply(self, column: NDArray[Any], added: NDArray[Any] | int) -> NDArray[Any]:
        """Change a column that stands beside the pairs, or the pairs themselves."""
        left = column[self.kept]
        if not self.at.size:
            return left
        # Pairs of new users come behind all others, which are not to be moved one by one.
        first = self.at[0]
        return np.concatenate([left[:first], np.insert(left[first:], self.at - first, added)])


def toggled(column: NDArray[np.uint64], toggles: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Give the exclusive or of two columns, both ascending and without repetition."""
    both = np.concatenate([column, toggles])
    if stand_behind(column, toggles):
        return both
    both.sort(kind="stable")  # notices that it is two sorted columns, and merges them
    again = both[1:] == both[:-1]
    if not again.any():
        return both
    kept = np.ones(both.size, np.bool_)
    kept[1:] &= ~again
    kept[:-1] &= ~again
    return both[kept]


def in_order(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Give the order of pairs, and them in it; of equal ones the first stays first."""
    order = np.argsort(pairs)  # several times quicker, and right where no pair occurs twice
    ordered = pairs[order]
    if np.any(ordered[1:] == ordered[:-1]):
        order = np.argsort(pairs, kind="stable")
    return order, ordered
