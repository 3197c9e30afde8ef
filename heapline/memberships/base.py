"""The base of a generation: everyone and everything as of one moment, in one file.

Kind `base`; facts: `epoch` (the generation in which users were numbered; codes of different epochs
mean different users), `segments` (how many). Sections: the dictionary's
(`heapline.memberships.dictionary`); `bitmaps` and `bitmap_offsets` (uint64, in bytes), one portable
roaring bitmap of user codes per segment; `bit_places` (int64), for every segment, and in it for
every 65,536 users, where in `bitmaps` the bits of these begin, -1 where they are written otherwise
or are too few (https://github.com/RoaringBitmap/RoaringFormatSpec); `rows` and `row_offsets`, the
codes of each user's segments in ascending order, user after user (compressed sparse rows);
`row_moments`, for each of `rows` when the user entered, as a place in `moments` (int64,
milliseconds since 1970-01-01 UTC, ascending). `rows` and `row_moments` are uint8, uint16 or uint32,
`row_offsets` uint32 or uint64, whichever is enough.

Where `rows` is uint8, a user's row stands once more in `keys`, so that whoever found the user finds
the segments in the same place of memory: right before the word of the user's code is one byte that
says how many, before it are their codes, and before these zeros up to a multiple of eight bytes.
The byte of a user in more than 254 segments says 0. Before that may be words of no meaning: the
writer lets users end with cache lines where that takes little more room.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import numpy as np
from pyroaring import BitMap

from heapline.memberships.container import open_container
from heapline.memberships.dictionary import Dictionary
from heapline.memberships.keys import WORD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from heapline.memberships.container import Container

KIND: Final = "base"
CONTAINER_BITS: Final = 16
NO_BITS: Final = -1
CODES_OF_A_BYTE: Final = 1 << 8
MOST_BESIDE: Final = 254
"""A longer row stands in `rows` alone."""
BEFORE_KEY: Final = WORD_BYTES + 1
"""How many bytes before a key the byte is that says how many segments stand before it."""
_IN_CONTAINER: Final = (1 << CONTAINER_BITS) - 1


def code_type(count: int) -> type[np.unsignedinteger]:
    """Give the type of `rows` for so many segments, and of `row_moments` for so many moments."""
    return np.uint8 if count <= CODES_OF_A_BYTE else np.uint16 if count <= 1 << 16 else np.uint32


def offset_type(memberships: int) -> type[np.unsignedinteger]:
    """Give the type of `row_offsets` for so many memberships."""
    return np.uint32 if memberships < 1 << 32 else np.uint64


def beside_lengths(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Tell how many codes stand beside the keys of users who are in so many segments."""
    return np.where(lengths > MOST_BESIDE, 0, lengths).astype(np.int64)


def beside_words(beside: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tell how many words so many codes take beside a key."""
    return beside // WORD_BYTES + 1


class Bitmaps:
    """Bitmaps one after the other in a mapped file, each read when it is first asked for."""

    def __init__(self, container: Container, name: str, offsets: str) -> None:
        self._data = container.array(name, np.uint8).data
        self._offsets: list[int] = container.array(offsets, np.uint64).tolist()
        self._read: list[BitMap | None] = [None] * (len(self._offsets) - 1)

    def __len__(self) -> int:
        return len(self._read)

    def __getitem__(self, at: int) -> BitMap:
        bitmap = self._read[at]
        if bitmap is None:
            written = self._data[self._offsets[at] : self._offsets[at + 1]]
            # Any buffer will do; its stub names bytes alone.
            bitmap = self._read[at] = BitMap.deserialize(written)  # type: ignore[arg-type]
        return bitmap


class Base:
    """A mapped base.

    Attributes:
        container: its file.
        dictionary: its users; codes from 0.
        users, segments: how many it knows.
        epoch: see above.
        rows_beside: whether rows stand in `keys` as well.
        elsewhere: the users whose rows do not.
        everyone: all users.
        moments, row_moments: see above.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self.dictionary = Dictionary.mapped(container, 0)
        self.users = len(self.dictionary)
        self.segments: int = container.facts["segments"]
        self.epoch: int = container.facts["epoch"]
        memberships: int = container.facts["memberships"]
        self._rows = container.array("rows", code_type(self.segments))
        self._row_offsets = container.array("row_offsets", offset_type(memberships))
        self.moments = container.array("moments", np.int64)
        self.row_moments = container.array("row_moments", code_type(self.moments.size))
        self._moments, self._row_moments = self.moments.data, self.row_moments.data
        self._row_view, self._offset_view = self._rows.data, self._row_offsets.data
        lengths = self.row_lengths
        longest = int(lengths.max()) if self.users else 0
        self.rows_beside = self._rows.dtype == np.uint8
        self.everyone = BitMap(range(self.users))
        self.elsewhere = BitMap() if self.rows_beside else self.everyone
        if self.rows_beside and longest > MOST_BESIDE:
            self.elsewhere.update(np.flatnonzero(lengths > MOST_BESIDE).tolist())
        self._steps = [1 << bit for bit in reversed(range(longest.bit_length()))]
        self._containers = -(-self.users >> CONTAINER_BITS)
        self._bit_places = container.array("bit_places", np.int64)
        self._bits = container.array("bitmaps", np.uint8)
        self._bitmaps = Bitmaps(container, "bitmaps", "bitmap_offsets")
        self._nobody = BitMap()

    @property
    def row_lengths(self) -> NDArray[np.integer]:
        """In how many segments each user is."""
        return np.diff(self._row_offsets)

    def bitmap(self, segment: int) -> BitMap:
        """Give a segment's members; to be read, not changed."""
        return self._bitmaps[segment] if segment < self.segments else self._nobody

    def untold(self, segment: int) -> BitMap:
        """Give users of whom a row beside the key does not tell whether they are in a segment."""
        return self.elsewhere if segment < CODES_OF_A_BYTE else self.everyone

    def row(self, user: int) -> list[int]:
        """Give the codes of the segments a user is in; none of a user who came later."""
        if user >= self.users:
            return []
        row: list[int] = self._row_view[
            self._offset_view[user] : self._offset_view[user + 1]
        ].tolist()
        return row

    def holds(
        self, users: NDArray[np.int64], segments: NDArray[np.signedinteger]
    ) -> NDArray[np.bool_]:
        """Tell for pairs of codes whether the user is in the segment; any other code is in none."""
        if not self._rows.size:
            return np.zeros(users.size, np.bool_)
        wanted = segments.astype(np.int64)
        # A negative code is a large one without its sign.
        inside = users.view(np.uint64) < self.users
        inside &= wanted.view(np.uint64) < self.segments
        wanted *= self._containers
        wanted += users >> CONTAINER_BITS
        place = self._bit_places.take(wanted, mode="clip")
        byte = users & _IN_CONTAINER
        byte >>= 3
        byte += place
        bits = self._bits.take(byte, mode="clip")
        bits >>= users.view(np.uint8)[::8] & 7
        bits &= 1
        held: NDArray[np.bool_] = bits.view(np.bool_)
        others = np.flatnonzero((place == NO_BITS) & inside)
        if others.size:
            held[others] = self._searched(users[others], segments[others])
        held &= inside
        return held

    def _searched(
        self, users: NDArray[np.int64], segments: NDArray[np.signedinteger]
    ) -> NDArray[np.bool_]:
        """Look for segments in the rows of users, all of them known."""
        wanted = segments.astype(self._rows.dtype)
        less = self._row_offsets.take(users).astype(np.int64) - 1
        last = self._row_offsets.take(users + 1).astype(np.int64) - 1
        for step in self._steps:  # `less` moves on while what stands there is less than wanted
            further = np.minimum(less + step, last)
            np.copyto(less, further, where=self._rows.take(further, mode="clip") < wanted)
        less += 1
        found: NDArray[np.bool_] = self._rows.take(less, mode="clip") == wanted
        return found & (less <= last)

    def entered_at_ms(self, user: int, segment: int) -> int | None:
        """Tell when a user entered a segment, by codes; None if it is not in."""
        if user >= self.users:
            return None
        end = self._offset_view[user + 1]
        at = bisect_left(self._row_view, segment, self._offset_view[user], end)
        if at == end or self._row_view[at] != segment:
            return None
        found: int = self._moments[self._row_moments[at]]
        return found

    def pairs(self) -> NDArray[np.uint64]:
        """Give all memberships as `user << 32 | segment`, ascending."""
        users = np.arange(self.users, dtype=np.uint64) << np.uint64(32)
        pairs = np.repeat(users, self.row_lengths.astype(np.int64))
        pairs |= self._rows
        return pairs


def open_base(path: Path) -> Base:
    """Map a base.

    Raises:
        IndexDamaged: see `open_container`.
    """
    return Base(open_container(path, KIND))
