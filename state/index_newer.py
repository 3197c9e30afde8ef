"""The users who came after the base, as a writer keeps them: others are appended, none is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from heapline.memberships.dictionary import Dictionary, DictionaryColumns, must_fit, shift_for
from state.growing import Growing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from state.payload import NewUsers

_HALF: Final = np.uint64(32)
_SPARE_SLOTS: Final = 256
"""Free at the end of a table, for those who come later."""
_MOST_STEPS: Final = 64
"""Whoever finds no free slot in so many was chosen to collide with others."""


@dataclass(frozen=True, slots=True, eq=False)
class NewerUsers:
    """Users with the codes behind a base; never changes, and others are made from it.

    Attributes:
        words, offsets: see `DictionaryColumns`; codes are counted from 0.
        dictionary: the same, to be asked.
    """

    words: Growing
    offsets: Growing
    dictionary: Dictionary

    @classmethod
    def none(cls, first_code: int) -> Self:
        """Begin with nobody; `first_code` is the code of the first who comes."""
        return cls.of(DictionaryColumns.of([], 0), first_code)

    @classmethod
    def of(cls, columns: DictionaryColumns, first_code: int) -> Self:
        """Begin with some users, in columns of their own."""
        words, offsets = Growing(columns.words), Growing(columns.offsets)
        return cls._asked_by(words, offsets, columns.slots(_SPARE_SLOTS), first_code)

    @classmethod
    def read(cls, dictionary: Dictionary) -> Self:
        """Go on with what was written; that stays as it is."""
        return cls(Growing(dictionary.words), Growing(dictionary.offsets), dictionary)

    def __len__(self) -> int:
        return len(self.dictionary)

    @property
    def size_bytes(self) -> int:
        """About as many as are written."""
        return self.words.rows.nbytes + 24 * len(self)

    def columns(self) -> DictionaryColumns:
        """Give what a dictionary is written from."""
        return DictionaryColumns.read(self.words.rows, self.offsets.rows)

    def followed_by(self, new: NewUsers) -> Self:
        """Number more users behind these.

        Raises:
            ValueError: see `must_fit`.
        """
        if not len(new):
            return self
        more = DictionaryColumns.of(new.user_id, new.workspace.astype(np.int64))
        must_fit(len(self) + len(more), len(self.words) + more.words.size)
        begins, end = more.offsets[:-1], self.offsets.rows[-1]
        hashes = more.words[begins].astype(np.uint32)
        more.words[begins] += np.uint64(len(self)) << _HALF
        words = self.words.followed_by(more.words)
        offsets = self.offsets.followed_by(more.offsets[1:] + end)
        slots, shift = None, shift_for(len(self) + len(more))
        if shift == shift_for(len(self)):
            named = 2 * (begins + end) + np.uint32(1)
            slots = _with(self.dictionary.slots, hashes >> np.uint32(shift), named)
        if slots is None:
            slots = DictionaryColumns.read(words.rows, offsets.rows).slots(_SPARE_SLOTS)
        return self._asked_by(words, offsets, slots, self.dictionary.first_code)

    def behind(self, users: int, first_code: int) -> Self:
        """Leave out so many from the beginning, and number the others from 0."""
        return self.of(self.columns().behind(users), first_code)

    def sections(self) -> dict[str, NDArray[Any]]:
        """Give the sections of an overlay; `words` are written elsewhere."""
        return {"key_offsets": self.offsets.rows, "key_slots": self.dictionary.slots}

    @classmethod
    def _asked_by(
        cls, words: Growing, offsets: Growing, slots: NDArray[np.uint32], first_code: int
    ) -> Self:
        texts = words.rows.view(np.uint8).data if len(words) else b""
        return cls(words, offsets, Dictionary(texts, 0, offsets.rows, slots, first_code))


def _with(
    slots: NDArray[np.uint32], firsts: NDArray[np.uint32], named: NDArray[np.uint32]
) -> NDArray[np.uint32] | None:
    """Write more into a copy of a table, each from its first place on; None if that takes long."""
    slots, at = slots.copy(), firsts.astype(np.int64)
    for _ in range(_MOST_STEPS):
        free = np.flatnonzero(slots[at] == 0)
        slots[at[free]] = named[free]  # of several for one slot one stays
        left = np.flatnonzero(slots[at] != named)
        if not left.size:
            return slots
        at, named = at[left] + 1, named[left]
        if at.max() >= slots.size - 1:  # the last slot stays free
            break
    return None
