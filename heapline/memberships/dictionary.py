"""User ids to dense integer codes and back: a hash index over written keys, read in place.

Sections: `keys` (the keys, see `heapline.memberships.keys`), `key_offsets` (uint32, in words of
eight bytes, one more than there are users) and `key_slots` (uint64): `hash << 32 | code` in
ascending order, each at the first free place from `hash * homes >> 32` on, where `homes` is twenty
elevenths of the number of users; a free place is all ones, and the last one is free. So a look-up
is one step to that place and a few to its right, ends early where a greater hash stands, and a
table is built by sorting. Ids chosen to collide in CRC-32 make their own look-ups slower, never
wrong.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heapline.memberships.keys import (
    END,
    LONG_BYTES,
    PREFIX_BYTES,
    KeyGroup,
    key_groups,
)

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.container import Container

NOBODY: Final = -1
"""The code of a user who is not in the dictionary."""
SECTIONS: Final = ("keys", "key_offsets", "key_slots")
_FREE: Final = 0xFFFF_FFFF_FFFF_FFFF
_CODE: Final = 0xFFFF_FFFF
_FEW: Final = 24
"""Below this many rows a step per row is faster than a step per column."""


def homes_for(users: int) -> int:
    """Give the number of first places for so many users: a load of 55 %."""
    return max(1, users * 20 // 11)


@dataclass(frozen=True, slots=True)
class DictionaryColumns:
    """What a dictionary is written from.

    Attributes:
        words: the keys one after the other.
        offsets: where each begins, in words; one more than there are users.
        entries: `hash << 32 | code`, ascending.
    """

    words: NDArray[np.uint64]
    offsets: NDArray[np.uint32]
    entries: NDArray[np.uint64]

    def __len__(self) -> int:
        return self.entries.size

    @classmethod
    def of(cls, users: Sequence[str], workspaces: int | NDArray[np.int64]) -> DictionaryColumns:
        """Number users in the order given; see `key_groups`."""
        groups = list(key_groups(users, workspaces)) if users else []
        sizes = np.zeros(len(users) + 1, np.int64)
        hashes = np.empty(len(users), np.uint64)
        for group in groups:
            sizes[group.rows + 1] = group.words.shape[1]
            hashes[group.rows] = group.hashes
        offsets = np.cumsum(sizes)
        words = np.empty(offsets[-1], np.uint64)
        for group in groups:
            words[offsets[group.rows][:, None] + np.arange(group.words.shape[1])] = group.words
        entries = (hashes << np.uint64(32)) | np.arange(len(users), dtype=np.uint64)
        entries.sort()
        return cls(words, offsets.astype(np.uint32), entries)

    def followed_by(self, others: DictionaryColumns) -> DictionaryColumns:
        """Number more users behind these."""
        entries = np.concatenate([self.entries, others.entries + np.uint64(len(self))])
        entries.sort(kind="stable")  # merges the two runs
        offsets = np.concatenate([self.offsets, others.offsets[1:] + self.offsets[-1]])
        return DictionaryColumns(np.concatenate([self.words, others.words]), offsets, entries)

    def behind(self, users: int) -> DictionaryColumns:
        """Leave out so many from the beginning, and number the others from 0."""
        codes = self.entries & np.uint64(_CODE)
        entries = self.entries[codes >= users] - np.uint64(users)
        words = self.words[self.offsets[users] :]
        return DictionaryColumns(words, self.offsets[users:] - self.offsets[users], entries)

    def slots(self) -> NDArray[np.uint64]:
        """Lay the entries out as the hash index."""
        if not len(self):
            return np.array([_FREE], np.uint64)
        homes = homes_for(len(self))
        hashes = self.entries >> np.uint64(32)
        first = (hashes * np.uint64(homes) >> np.uint64(32)).astype(np.int64)
        order = np.arange(len(self))
        places = np.maximum.accumulate(first - order) + order
        slots = np.full(max(homes, int(places[-1]) + 1) + 1, _FREE, np.uint64)
        slots[places] = self.entries
        return slots


class Dictionary:
    """Finds users in sections that are mapped or in memory.

    Args:
        texts: what the keys stand in.
        start: the first key's first byte there.
        offsets, slots: the other sections.
        first_code: the code of the first user here.
    """

    def __init__(
        self,
        texts: mmap.mmap | bytes | memoryview,
        start: int,
        offsets: NDArray[np.uint32],
        slots: NDArray[np.uint64],
        first_code: int,
    ) -> None:
        self.first_code = first_code
        self._users = offsets.size - 1
        self._homes = homes_for(self._users)
        self._texts = texts
        self._start = start
        self._offsets = offsets
        self._slots = slots
        count = int(offsets[-1])
        self._words = np.frombuffer(texts, np.uint64, count, start) if count else slots[:0]
        # Items of a memory view are plain integers, twice as fast as an array's.
        self._offset_view = offsets.data
        self._slot_view = slots.data

    @classmethod
    def mapped(cls, container: Container, first_code: int) -> Dictionary:
        """Read a dictionary in place."""
        offsets = container.array("key_offsets", np.uint32)
        slots = container.array("key_slots", np.uint64)
        return cls(container.data, container.start("keys"), offsets, slots, first_code)

    @classmethod
    def in_memory(cls, columns: DictionaryColumns, first_code: int) -> Dictionary:
        """Make one that is not written yet."""
        texts = columns.words.view(np.uint8).data if len(columns) else b""
        return cls(texts, 0, columns.offsets, columns.slots(), first_code)

    def __len__(self) -> int:
        return self._users

    def find(self, key: bytes) -> int:
        """Give a user's code, or `NOBODY`."""
        slots = self._slot_view
        crc = zlib.crc32(key)
        at = crc * self._homes >> 32
        first = crc << 32
        entry = slots[at]
        while entry < first:
            at += 1
            entry = slots[at]
        beyond = first + _CODE
        while entry < beyond:
            code = entry - first
            begin = self._start + (self._offset_view[code] << 3)
            end = begin + len(key)
            if self._texts[begin:end] == key and self._texts[end] == END:
                return code + self.first_code
            at += 1
            entry = slots[at]
        return NOBODY

    def find_many(self, groups: Iterable[KeyGroup], count: int) -> NDArray[np.int64]:
        """Give the codes of a column of `count` users, `NOBODY` where there is none."""
        codes = np.full(count, NOBODY, np.int64)
        for group in groups:
            if self._users:
                codes[group.rows] = self._find_group(group)
        return codes

    def text(self, code: int) -> str:
        """Give a user's id."""
        local = code - self.first_code
        begin, end = self._offset_view[local], self._offset_view[local + 1]
        written = self._texts[self._start + (begin << 3) + PREFIX_BYTES : self._start + (end << 3)]
        return bytes(written).rstrip(b"\xff").decode()

    def sections(self) -> dict[str, NDArray[Any]]:
        """Give the sections of a file; those of one in memory."""
        return dict(zip(SECTIONS, (self._words, self._offsets, self._slots), strict=True))

    def workspace_codes(self) -> NDArray[np.int64]:
        """Give each user's workspace."""
        heads = self._words.take(self._offsets[:-1])
        return (heads & np.uint64((1 << 8 * PREFIX_BYTES) - 1)).astype(np.int64)

    def columns(self) -> DictionaryColumns:
        """Give back what it was written from, local codes counted from 0."""
        entries = self._slots[self._slots != np.uint64(_FREE)]
        return DictionaryColumns(self._words, self._offsets, entries)

    def _find_group(self, group: KeyGroup) -> NDArray[np.int64]:
        found = np.full(group.rows.size, NOBODY, np.int64)
        rows = np.arange(group.rows.size)
        first = group.hashes.astype(np.uint64) << np.uint64(32)
        at = ((first >> np.uint64(32)) * np.uint64(self._homes) >> np.uint64(32)).astype(np.int64)
        while rows.size > _FEW and group.length <= LONG_BYTES:
            entries = self._slots.take(at)
            further = entries < first
            local = entries ^ first
            same = np.flatnonzero(local < np.uint64(_CODE))
            codes = local[same].astype(np.int64)
            equal = self._equal(codes, group.words[rows[same]])
            found[rows[same[equal]]] = codes[equal] + self.first_code
            further[same[~equal]] = True
            left = np.flatnonzero(further)
            rows, first, at = rows[left], first[left], at[left] + 1
        for row in rows.tolist():
            found[row] = self.find(group.key(row))
        return found

    def _equal(self, codes: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        begin = self._offsets.take(codes).astype(np.int64)
        equal: NDArray[np.bool_] = self._offsets.take(codes + 1) - begin == words.shape[1]
        for word in range(words.shape[1]):
            equal &= self._words.take(begin + word, mode="clip") == words[:, word]
        return equal
