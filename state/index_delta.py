"""How the newest generation differs from its base: an overlay in memory, before it is written."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from heapline.memberships.overlay import toggle_sections
from state.index_newer import NewerUsers
from state.index_pairs import (
    Toggling,
    in_order,
    pairs_of,
    places_in,
    segments_of,
    stand_behind,
    toggled,
    users_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heapline.memberships.overlay import Overlay
    from state.payload import Changes, NewUsers


def bitmap_of(users: NDArray[np.uint32]) -> BitMap:
    """Make a bitmap of codes."""
    codes = array("I")
    codes.frombytes(users.astype(np.uint32).tobytes())
    return BitMap(codes)


def bitmaps_of(pairs: NDArray[np.uint64]) -> dict[int, BitMap]:
    """Make a bitmap of users for each segment."""
    segments, users = segments_of(pairs), users_of(pairs)
    order = np.argsort(segments, kind="stable")
    return bitmaps_by_segment(segments[order], users[order])


def bitmaps_by_segment(
    segments: NDArray[np.uint32], users: NDArray[np.uint32]
) -> dict[int, BitMap]:
    """Make a bitmap for each segment, whose users stand together."""
    firsts = np.flatnonzero(np.diff(segments, prepend=np.int64(-1)))
    parts = np.split(users, firsts[1:]) if firsts.size else []
    return dict(zip(segments[firsts].tolist(), map(bitmap_of, parts), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """See `heapline.memberships.overlay`; never changes, and others are made from it.

    Attributes:
        first_user: how many users the base knows.
        toggles, entered, entered_ms: as there.
        bitmaps: the toggles, by segment.
        users: those who came after the base.
    """

    first_user: int
    toggles: NDArray[np.uint64]
    bitmaps: dict[int, BitMap]
    entered: NDArray[np.uint64]
    entered_ms: NDArray[np.int64]
    users: NewerUsers

    @classmethod
    def none(cls, first_user: int) -> Delta:
        """Give that of a base nothing was changed in."""
        nobody, times = np.empty(0, np.uint64), np.empty(0, np.int64)
        return cls(first_user, nobody, {}, nobody, times, NewerUsers.none(first_user))

    @classmethod
    def read(cls, overlay: Overlay, first_user: int) -> Delta:
        """Go on with a written one."""
        return cls(
            first_user,
            overlay.toggles,
            overlay.bitmaps(),
            overlay.entered,
            overlay.entered_ms,
            NewerUsers.read(overlay.dictionary(first_user)),
        )

    @property
    def size_bytes(self) -> int:
        """About as many as are written."""
        per_toggle = 12  # the pair, and its place in bitmaps
        return self.toggles.size * per_toggle + self.entered.size * 16 + self.users.size_bytes

    def after(self, changes: Changes, new_users: NewUsers) -> Delta:
        """Take in effective changes, and users with the next codes."""
        order, ordered = in_order(pairs_of(changes.user, changes.segment))
        firsts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
        counts = np.diff(firsts, append=ordered.size)
        last = order[firsts + counts - 1]
        enters = changes.enters[last]
        touched = ordered[firsts]
        toggles = touched[counts % 2 == 1]
        entered, entered_ms = self._entered_after(
            touched, touched[enters], changes.at_ms[last][enters]
        )
        return Delta(
            self.first_user,
            toggled(self.toggles, toggles),
            self._bitmaps_after(toggles),
            entered,
            entered_ms,
            self.users.followed_by(new_users),
        )

    def without(self, merged: Delta, first_user: int) -> Delta:
        """Give what is left once an earlier state of this is part of the base."""
        places, known = places_in(merged.entered, self.entered)
        known[known] = merged.entered_ms[places[known]] == self.entered_ms[known]
        toggles = toggled(self.toggles, merged.toggles)
        return Delta(
            first_user,
            toggles,
            bitmaps_of(toggles),
            self.entered[~known],
            self.entered_ms[~known],
            self.users.behind(len(merged.users), first_user),
        )

    def sections(self) -> dict[str, NDArray[Any]]:
        """Give the sections of an overlay."""
        return {
            **self.users.sections(),
            **toggle_sections(self.toggles, self.bitmaps),
            "entered": self.entered,
            "entered_ms": self.entered_ms,
        }

    def _entered_after(
        self, touched: NDArray[np.uint64], pairs: NDArray[np.uint64], at_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        if stand_behind(self.entered, touched):
            return np.append(self.entered, pairs), np.append(self.entered_ms, at_ms)
        places, found = places_in(self.entered, touched)
        kept = np.ones(self.entered.size, np.bool_)
        kept[places[found]] = False
        left = self.entered[kept]
        coming = Toggling.of(left, pairs)
        return coming.apply(left, pairs), coming.apply(self.entered_ms[kept], at_ms)

    def _bitmaps_after(self, toggles: NDArray[np.uint64]) -> dict[int, BitMap]:
        bitmaps = self.bitmaps | {
            segment: self.bitmaps.get(segment, BitMap()) ^ changed
            for segment, changed in bitmaps_of(toggles).items()
        }
        return {segment: users for segment, users in bitmaps.items() if users}
