"""The base of an index, made from columns or from an older base and what changed since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from heapline.memberships.base import code_type, offset_type
from heapline.memberships.dictionary import Dictionary, DictionaryColumns
from heapline.memberships.overlay import bitmap_sections
from state.index_bits import bit_places
from state.index_delta import bitmaps_by_segment
from state.index_pairs import Toggling, pairs_of, places_in, users_of
from state.index_rows import with_rows, without_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heapline.memberships.base import Base
    from state.index_delta import Delta
    from state.payload import KnownMemberships, KnownUsers


@dataclass(frozen=True, slots=True, eq=False)
class BaseColumns:
    """What a base is written from.

    Attributes:
        users: all of them.
        segments: how many there are.
        pairs: memberships, ascending.
        moments: when users entered, ascending.
        pair_moments: for each of the pairs, a place in `moments`.
        bitmaps: the pairs, by segment.
    """

    users: DictionaryColumns
    segments: int
    pairs: NDArray[np.uint64]
    moments: NDArray[np.int64]
    pair_moments: NDArray[Any]
    bitmaps: dict[int, BitMap]

    @classmethod
    def known(cls, users: KnownUsers, segments: int, memberships: KnownMemberships) -> BaseColumns:
        """Take them as the store gives them."""
        order = _by_user(memberships)
        pairs = pairs_of(memberships.user[order], memberships.segment[order])
        moments, codes = _used(memberships.moments, memberships.moment[order])
        columns = DictionaryColumns.of(users.user_id.tolist(), users.workspace.astype(np.int64))
        bitmaps = bitmaps_by_segment(memberships.segment, memberships.user)
        return cls(columns, segments, pairs, moments, codes, bitmaps)

    @classmethod
    def merged(cls, base: Base, delta: Delta, segments: int) -> BaseColumns:
        """Bring a base and what changed since together."""
        known = base.pairs()
        toggling = Toggling.of(known, delta.toggles)
        pairs = toggling.apply(known, toggling.added)
        moments = np.union1d(base.moments, delta.entered_ms)
        codes = np.searchsorted(moments, base.moments).astype(np.uint32)[base.row_moments]
        codes = toggling.apply(codes, 0)
        codes[places_in(pairs, delta.entered)[0]] = np.searchsorted(moments, delta.entered_ms)
        moments, codes = _used(moments, codes)
        bitmaps = {
            segment: base.bitmap(segment) ^ delta.bitmaps.get(segment, BitMap())
            for segment in range(segments)
        }
        users = without_rows(base).followed_by(delta.users.columns())
        return cls(users, segments, pairs, moments, codes, bitmaps)

    def facts(self, epoch: int) -> dict[str, int]:
        """Give the facts of the file."""
        return {"epoch": epoch, "segments": self.segments, "memberships": self.pairs.size}

    def sections(self) -> dict[str, NDArray[Any]]:
        """Give the sections of the file."""
        written = self._written()
        sizes = np.bincount(users_of(self.pairs), minlength=len(self.users))
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(offset_type(self.pairs.size))
        rows = self.pairs.astype(code_type(self.segments))  # the segment is what is low in a pair
        users = with_rows(self.users, rows, sizes) if rows.dtype == np.uint8 else self.users
        return {
            **Dictionary.in_memory(users, 0).sections(),
            **bitmap_sections("bitmaps", "bitmap_offsets", written),
            "bit_places": bit_places(written, len(self.users)),
            "rows": rows,
            "row_offsets": offsets,
            "moments": self.moments,
            "row_moments": self.pair_moments.astype(code_type(self.moments.size)),
        }

    def _written(self) -> list[bytes]:
        written = []
        for segment in range(self.segments):
            bitmap = self.bitmaps.get(segment, BitMap())
            bitmap.run_optimize()
            written.append(bitmap.serialize())
        return written


def _by_user(memberships: KnownMemberships) -> NDArray[np.int64]:
    """Give the order by user and segment.

    Sorting by sixteen bits at a time is ten times as quick as comparing; it keeps the order of
    segments that is there.
    """
    low = np.argsort((memberships.user & np.uint32(0xFFFF)).astype(np.uint16), kind="stable")
    high = (memberships.user >> np.uint32(16)).astype(np.uint16)[low]
    order: NDArray[np.int64] = low[np.argsort(high, kind="stable")]
    return order


def _used(
    moments: NDArray[np.int64], codes: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Leave out the moments of which no code is."""
    used = np.zeros(moments.size, np.bool_)
    used[codes] = True
    if used.all():
        return moments, codes.astype(np.uint32, copy=False)
    return moments[used], (np.cumsum(used) - 1).astype(np.uint32)[codes]
