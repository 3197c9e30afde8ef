"""User ids to dense integer codes and back: a hash index over written keys, read in place.

Sections: `keys`, `key_offsets` (uint32, in words of eight bytes, one more than there are users) and
`key_slots` (uint32). What stands in `keys` for each user, from its offset on, is one word
`code << 32 | hash` and the key (see `heapline.memberships.keys`); a base writes more before that
word (see `heapline.memberships.base`). A slot names the place of a user's code, counted in halves
of words, which is odd and so never 0; 0 is a free slot. A slot stands at the first place from
`hash >> 32 - b` on that was free when it was written, where `2 ** b` is the smallest power of two
that is at least eleven fifths of the number of users; the last slot is free. So a look-up is one
step to that place, and now and then a few to its right, and it touches two places of memory. A
table is built by sorting, in the order of the hashes; what comes later takes what is free. Ids
chosen to collide in CRC-32 make their own look-ups slower, never wrong.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heapline.memberships.keys import END, LONG_BYTES, WORD_BYTES, KeyGroup, key_groups

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.container import Container

NOBODY: Final = -1
"""The code of a user who is not in the dictionary."""
SECTIONS: Final = ("keys", "key_offsets", "key_slots")
HALF_BYTES: Final = WORD_BYTES // 2
_HASH_BITS: Final = 32
_HASH: Final = np.uint64(0xFFFF_FFFF)
_HALF: Final = np.uint64(32)
_END: Final = bytes([END])
_HASH_BEFORE_CODE: Final = np.uint32(1)
_HALF_LINE: Final = 4
"""Words of half a line of the cache."""
_FEW: Final = 24
"""Below this many rows a step per row is faster than a step per column."""


def shift_for(users: int) -> int:
    """Give how far a hash is shifted to its first place, for so many users."""
    return _HASH_BITS - (-(-users * 11 // 5) - 1).bit_length() if users else _HASH_BITS


def must_fit(users: int, words: int) -> None:
    """Refuse users whose keys take more words than slots can tell places of: 16 GiB.

    Raises:
        ValueError: they do.
    """
    if 2 * words >= 1 << 32:
        raise ValueError(f"{users:,} users are more than one index can hold")


@dataclass(frozen=True, slots=True)
class DictionaryColumns:
    """What a dictionary is written from.

    Attributes:
        words: see `keys` above.
        offsets: where each user begins, in words, and where the last one ends.
        entries: `hash << 32 | code`, ascending.
    """

    words: NDArray[np.uint64]
    offsets: NDArray[np.uint32]
    entries: NDArray[np.uint64]

    def __len__(self) -> int:
        return self.entries.size

    @classmethod
    def read(cls, words: NDArray[np.uint64], offsets: NDArray[np.uint32]) -> DictionaryColumns:
        """Take what was written before, without its slots."""
        heads = words[offsets[:-1]]
        entries = (heads << _HALF) | (heads >> _HALF)
        entries.sort()
        return cls(words, offsets, entries)

    @classmethod
    def of(cls, users: Sequence[str], workspaces: int | NDArray[np.int64]) -> DictionaryColumns:
        """Number users in the order given; see `key_groups`."""
        groups = list(key_groups(users, workspaces)) if users else []
        sizes = np.zeros(len(users) + 1, np.int64)
        hashes = np.empty(len(users), np.uint64)
        for group in groups:
            sizes[group.rows + 1] = 1 + group.words.shape[1]
            hashes[group.rows] = group.hashes
        offsets = np.cumsum(sizes)
        words = np.empty(offsets[-1], np.uint64)
        codes = np.arange(len(users), dtype=np.uint64)
        words[offsets[:-1]] = (codes << _HALF) | hashes
        for group in groups:
            places = offsets[group.rows][:, None] + np.arange(1, 1 + group.words.shape[1])
            words[places] = group.words
        entries = (hashes << _HALF) | codes
        entries.sort()
        return cls(words, offsets.astype(np.uint32), entries)

    def followed_by(self, others: DictionaryColumns) -> DictionaryColumns:
        """Number more users behind these."""
        entries = np.concatenate([self.entries, others.entries + np.uint64(len(self))])
        entries.sort(kind="stable")  # merges the two runs
        offsets = np.concatenate([self.offsets, others.offsets[1:] + self.offsets[-1]])
        words = np.concatenate([self.words, others.words])
        words[offsets[len(self) : -1]] += np.uint64(len(self)) << _HALF
        return DictionaryColumns(words, offsets, entries)

    def behind(self, users: int) -> DictionaryColumns:
        """Leave out so many from the beginning, and number the others from 0."""
        codes = self.entries & _HASH
        entries = self.entries[codes >= users] - np.uint64(users)
        words = self.words[self.offsets[users] :].copy()
        offsets = self.offsets[users:] - self.offsets[users]
        words[offsets[:-1]] -= np.uint64(users) << _HALF
        return DictionaryColumns(words, offsets, entries)

    def slots(self, spare: int = 0) -> NDArray[np.uint32]:
        """Lay the entries out as the hash index, with so many free slots more at the end.

        Raises:
            ValueError: see `must_fit`.
        """
        must_fit(len(self), self.words.size)
        shift = shift_for(len(self))
        first = (self.entries >> np.uint64(32 + shift)).astype(np.int64)
        order = np.arange(len(self))
        places = np.maximum.accumulate(first - order) + order
        most = int(places[-1]) + 1 if places.size else 0
        slots = np.zeros(max(1 << (_HASH_BITS - shift), most) + spare + 1, np.uint32)
        codes = (self.entries & _HASH).astype(np.int64)
        slots[places] = 2 * self.offsets[codes] + 1
        return slots


class Dictionary:
    """Finds users in sections that are mapped or in memory.

    `find` is written out once more in `heapline.memberships.reader`, where every call counts.

    Attributes:
        first_code: the code of the first user here.
        words, offsets, slots: its sections.
        parts: what `find` needs, to be had in one step: the slots, as a view, whose items are plain
            integers, twice as fast as an array's; how far a hash is shifted to its first slot; what
            the keys stand in; where a key would stand there whose slot says 0; and the words by
            halves, as a view: what a slot names is a code, counted from `first_code`.

    Args:
        texts: what the keys stand in.
        start: the first word's first byte there.
        offsets, slots: the other sections.
        first_code: see above.
    """

    def __init__(
        self,
        texts: mmap.mmap | bytes | memoryview,
        start: int,
        offsets: NDArray[np.uint32],
        slots: NDArray[np.uint32],
        first_code: int,
    ) -> None:
        count = int(offsets[-1])
        self._users = offsets.size - 1
        self._start = start
        self.offsets = offsets
        self._offset_view = offsets.data
        self.slots = slots
        self.words = np.frombuffer(texts, np.uint64, count, start) if count else _NO_WORDS
        self._halves = self.words.view(np.uint32)
        self._texts = texts
        self._shift = shift_for(self._users)
        self.first_code = first_code
        self.parts = (slots.data, self._shift, texts, start + HALF_BYTES, self._halves.data)

    @classmethod
    def mapped(cls, container: Container, first_code: int) -> Dictionary:
        """Read a dictionary in place."""
        offsets = container.array("key_offsets", np.uint32)
        slots = container.array("key_slots", np.uint32)
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
        slots, shift, texts, first, halves = self.parts
        at = zlib.crc32(key) >> shift
        while slot := slots[at]:
            begin = slot * HALF_BYTES + first
            if texts[begin : begin + len(key)] == key:
                found: int = halves[slot]
                return found + self.first_code
            at += 1
        return NOBODY

    def find_many(self, groups: Iterable[KeyGroup], count: int) -> NDArray[np.int64]:
        """Give the codes of a column of `count` users, `NOBODY` where there is none."""
        codes = np.full(count, NOBODY, np.int64)
        for group in groups if self._users else ():
            if group.rows.size == count:
                return self._find_group(group)
            codes[group.rows] = self._find_group(group)
        return codes

    def text(self, code: int) -> str:
        """Give a user's id."""
        local = code - self.first_code
        begin = self._start + WORD_BYTES * (self._offset_view[local] + 1)
        written = bytes(
            self._texts[begin : self._start + WORD_BYTES * self._offset_view[local + 1]]
        )
        return written[: written.index(_END)].decode()

    def sections(self) -> dict[str, NDArray[Any]]:
        """Give the sections of a file; those of one in memory."""
        return dict(zip(SECTIONS, (self.words, self.offsets, self.slots), strict=True))

    def columns(self) -> DictionaryColumns:
        """Give back what it was written from, local codes counted from 0."""
        return DictionaryColumns.read(self.words, self.offsets)

    def _find_group(self, group: KeyGroup) -> NDArray[np.int64]:
        if group.length > LONG_BYTES:
            each = map(self.find, map(group.key, range(group.rows.size)))
            return np.fromiter(each, np.int64, group.rows.size)
        at = (group.hashes >> np.uint32(self._shift)).astype(np.int64)
        slots = self.slots.take(at, mode="clip")
        codes = self._named(slots, group.words)
        rows = np.flatnonzero((codes == NOBODY) & (slots != 0))
        if rows.size > _FEW:
            further = self._further(at[rows], group.hashes[rows])
            codes[rows] = self._named(further, group.words[rows])
            rows = rows[(codes[rows] == NOBODY) & (further != 0)]
        for row in rows.tolist():
            codes[row] = self.find(group.key(row))
        return codes

    def _named(self, slots: NDArray[np.uint32], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Give the codes that slots name, `NOBODY` where it is another key's.

        A key and the word of its code are read from behind, several words in one step where all
        keys end with a line of the cache or with half of one. What is read behind a shorter key is
        of no account: that one's own words are compared, and there the keys differ.
        """
        length = keys.shape[1]
        equal = slots != 0
        behind = (slots >> 1).astype(np.int64) + (1 + length)
        apart = ((behind & (_HALF_LINE - 1)) != 0) & equal
        size = 1 if apart.any() or self.words.size % _HALF_LINE else _HALF_LINE
        pieces = self.words.reshape(-1, size)
        piece = behind // size
        for first in range(length - size, -1 - size, -size):  # the key's first word in this piece
            piece -= 1
            read = pieces.take(piece, axis=0, mode="clip")
            for at in range(max(0, -first), size):
                equal &= read[:, at] == keys[:, first + at]
        before_key = -1 - first  # where the code's word is in the last piece; its upper half is it
        codes: NDArray[np.int64] = read.view(np.uint32)[:, 2 * before_key + 1].astype(np.int64)
        codes += self.first_code
        codes[~equal] = NOBODY
        return codes

    def _further(self, at: NDArray[np.int64], hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Give for each hash the next slot after `at` that names a key with it, 0 if there is none.

        For a few hashes, whose search would go on for long, it is another one's.
        """
        slots = np.zeros(at.size, np.uint32)
        rows = np.arange(at.size)
        while rows.size > _FEW:
            at = at + 1
            slots[rows] = found = self.slots.take(at, mode="clip")
            left = np.flatnonzero(self._differ(found, hashes))
            rows, at, hashes = rows[left], at[left], hashes[left]
        return slots

    def _differ(self, slots: NDArray[np.uint32], hashes: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Tell which slots name a key with another hash."""
        named = self._halves.take(slots - _HASH_BEFORE_CODE, mode="clip")
        differ: NDArray[np.bool_] = named != hashes
        differ &= slots != 0
        return differ


_NO_WORDS: Final = np.empty(0, np.uint64)
