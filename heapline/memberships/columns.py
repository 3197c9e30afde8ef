"""Many memberships at once: columns of users and segments of one generation, by codes.

A column is worked off in blocks: long enough that what a step costs by itself is little, and short
enough that what is made of a block on the way takes a few megabytes.
"""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from heapline.memberships.keys import key_groups
from heapline.memberships.overlay import toggled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.base import Base
    from heapline.memberships.dictionary import Dictionary
    from heapline.memberships.overlay import Overlay

UNKNOWN: Final = -1
"""The code of a segment of which nobody can say who is in it."""
_BLOCK: Final = 32_768
_PLACES: Final = 256
"""So many have names in a byte, one of which is for unknown segments."""


class Codes:
    """The codes of a workspace's segments, for columns of their names.

    Each name has a place that fits in a byte, if there are so few: bytes are the fastest column
    that can be made without a Python step per row.

    Args:
        codes: by name.
    """

    def __init__(self, codes: Mapping[str, int]) -> None:
        self._places = {name: place for place, name in enumerate(codes)}
        self._nowhere = len(codes)
        self._codes = np.array([*codes.values(), UNKNOWN], np.int32)

    def of(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Give a column's codes, `UNKNOWN` where there is none."""
        if not names:
            return np.empty(0, np.int32)
        places: Iterable[int]
        try:
            # The first once more: of a single one `itemgetter` would make no tuple.
            places = itemgetter(*names, names[0])(self._places)
        except KeyError:
            places = [self._places.get(name, self._nowhere) for name in names]
        if self._nowhere < _PLACES:
            found = np.frombuffer(bytes(places), np.uint8, len(names))
        else:
            found = np.fromiter(places, np.int32, len(names))
        return self._codes.take(found)


class Columns:
    """Answers for columns; see `heapline.memberships.view.Memberships.check_columns`.

    Args:
        base, overlay: the generation.
        newer: the overlay's dictionary.
    """

    def __init__(self, base: Base, overlay: Overlay, newer: Dictionary) -> None:
        self._base = base
        self._toggles = overlay.toggles
        self._newer = newer

    def held(
        self, workspace: int, users: Sequence[str], segments: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Tell which users are in the segments beside them; in one that is negative is nobody."""
        held = np.empty(len(users), np.bool_)
        for begin in range(0, len(users), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            codes = self._codes(workspace, users[block])
            held[block] = self._base.holds(codes, segments[block])
            if self._toggles.size:
                held[block] ^= self._toggled(codes, segments[block])
        return held

    def _codes(self, workspace: int, users: Sequence[str]) -> NDArray[np.int64]:
        groups = list(key_groups(users, workspace, "surrogatepass"))
        codes = self._base.dictionary.find_many(groups, len(users))
        if len(self._newer):
            codes = np.maximum(codes, self._newer.find_many(groups, len(users)))
        return codes

    def _toggled(self, users: NDArray[np.int64], segments: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell which of the pairs differ from the base."""
        answers = np.zeros(users.size, np.bool_)
        some = np.flatnonzero((users >= 0) & self._changed.take(users, mode="clip"))
        answers[some] = toggled(self._toggles, users[some], segments[some])
        return answers

    @cached_property
    def _changed(self) -> NDArray[np.bool_]:
        """Tell for every user whether anything differs: a search for each would take longer."""
        changed = np.zeros(self._base.users + len(self._newer), np.bool_)
        changed[(self._toggles >> np.uint64(32)).astype(np.int64)] = True
        return changed
