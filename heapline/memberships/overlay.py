"""The overlay of a generation: how it differs from its base, in one small file.

Kind `overlay`; facts: `generation`, `version` (of the store it reflects), `position` (topic
partitions to offsets), `as_of_ms`, `base` (file name) and `base_identity`, `keys`
(`heapline.memberships.newer_keys`), `workspaces` and `segments` (all of them, in the order of their
codes). Sections: the dictionary's, without its `keys`, for users who came after the base, with
codes that go on behind it; `toggles` (uint64, `user << 32 | segment`, ascending): the memberships
in which generation and base differ, whichever of the two has them; `toggle_starts` (uint32), where
in `toggles` every block of users begins, up to that of the last who differs, and where it ends (how
many users a block has, `block_bits` tells from `toggles` alone);
`toggle_bitmaps` and `toggle_bitmap_offsets`, the same as one bitmap of users for each segment named
in `toggled_segments` (uint32, ascending), and behind them one of all users who differ; `entered`
(uint64, as `toggles`) and `entered_ms` (int64, milliseconds since 1970-01-01 UTC), the memberships
whose latest enter came after the base, and when.

A generation is the exclusive or of base and overlay. So overlays add up in any order, and a merge
that took minutes is made current by taking what it merged out of the overlay once more.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyroaring import BitMap

from heapline.memberships.base import Bitmaps
from heapline.memberships.container import open_container
from heapline.memberships.dictionary import Dictionary
from heapline.memberships.newer_keys import ToldKeys, open_keys
from heapline.memberships.segments import Freshness, SegmentRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from heapline.memberships.container import Container
    from heapline.memberships.newer_keys import NewerKeys

KIND: Final = "overlay"
_USER_BITS: Final = 32
_MOST_BLOCKS_BITS: Final = 16
_BYTES: Final = [bytes([code]) for code in range(256)]


class Overlay:
    """A mapped overlay.

    Attributes:
        container: its file.
        keys: those of the users who came after the base.
        freshness: generation, position and time.
        version: of the store it reflects.
        base_name, base_identity: what it stands on.
        workspaces, segments: all that are known, in the order of their codes.
        toggles, entered, entered_ms: see above.
        changed: the users who differ from the base.
    """

    def __init__(self, container: Container, keys: NewerKeys) -> None:
        facts = container.facts
        self.container = container
        self.keys = keys
        self.freshness = Freshness(facts["generation"], facts["position"], facts["as_of_ms"])
        self.version: int = facts["version"]
        self.base_name: str = facts["base"]
        self.base_identity: str = facts["base_identity"]
        self.workspaces: list[str] = facts["workspaces"]
        self.segments = [SegmentRow(**row) for row in facts["segments"]]
        self.toggles: NDArray[np.uint64] = container.array("toggles", np.uint64)
        halves = self.toggles.view(np.uint32)
        self._segments, self._users = halves[::2].data, halves[1::2].data
        self._bits = block_bits(self.toggles)
        self._starts = container.array("toggle_starts", np.uint32).data
        self.entered: NDArray[np.uint64] = container.array("entered", np.uint64)
        self.entered_ms: NDArray[np.int64] = container.array("entered_ms", np.int64)
        self._entered, self._entered_ms = self.entered.data, self.entered_ms.data
        self._bitmaps = Bitmaps(container, "toggle_bitmaps", "toggle_bitmap_offsets")
        toggled: list[int] = container.array("toggled_segments", np.uint32).tolist()
        self._places = {segment: place for place, segment in enumerate(toggled)}
        self._nobody = BitMap()
        self.changed = self._bitmaps[len(toggled)]

    def dictionary(self, first_code: int) -> Dictionary:
        """Give the users who came after the base."""
        offsets = self.container.array("key_offsets", np.uint32)
        slots = self.container.array("key_slots", np.uint32)
        return Dictionary(self.keys.data, 0, offsets, slots, first_code)

    def bitmap(self, segment: int) -> BitMap:
        """Give the users whose membership in a segment differs from the base; not to be changed."""
        place = self._places.get(segment)
        return self._nobody if place is None else self._bitmaps[place]

    def row(self, user: int, before: Iterable[int]) -> list[int]:
        """Give the segments of a user, one of `changed`, from those in the base; ascending."""
        block, users, row = user >> self._bits, self._users, set(before)
        end = self._starts[block + 1]
        at = bisect_left(users, user, self._starts[block], end)
        while at < end and users[at] == user:
            row ^= {self._segments[at]}
            at += 1
        return sorted(row)

    def row_in_bytes(self, user: int, row: bytes) -> bytes:
        """Give the same, in any order, where all codes of segments are bytes: in half the time."""
        block, users, segments = user >> self._bits, self._users, self._segments
        end = self._starts[block + 1]
        at = bisect_left(users, user, self._starts[block], end)
        while at < end and users[at] == user:
            segment = segments[at]
            if segment in row:
                row = row.replace(_BYTES[segment], b"")
            else:
                row += _BYTES[segment]
            at += 1
        return row

    def entered_at_ms(self, user: int, segment: int) -> int | None:
        """Tell when a user entered a segment, by codes; None if not since the base."""
        pair = (user << 32) | segment
        at = bisect_left(self._entered, pair)
        if at == len(self._entered) or self._entered[at] != pair:
            return None
        found: int = self._entered_ms[at]
        return found

    def bitmaps(self) -> dict[int, BitMap]:
        """Give them all, by segment."""
        return {segment: self._bitmaps[place] for segment, place in self._places.items()}


def toggled(
    toggles: NDArray[np.uint64], users: NDArray[np.integer], segments: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Tell for pairs of codes, none negative, which of them stand in `toggles`."""
    if not toggles.size:
        return np.zeros(users.size, np.bool_)
    pairs = (users.astype(np.uint64) << np.uint64(32)) | segments.astype(np.uint64)
    places = np.searchsorted(toggles, pairs)
    found: NDArray[np.bool_] = toggles.take(places, mode="clip") == pairs
    return found


def block_bits(toggles: NDArray[np.uint64]) -> int:
    """Tell how many bits of a user's code say which user of a block it is.

    As many as let a block have one toggle; more where that would be too many blocks.
    """
    if not toggles.size:
        return 0
    last = int(toggles[-1]) >> _USER_BITS
    bits = ((last + 1) // toggles.size).bit_length() - 1
    return max(0, bits, last.bit_length() - _MOST_BLOCKS_BITS)


def toggle_sections(toggles: NDArray[np.uint64], bitmaps: dict[int, BitMap]) -> dict[str, Any]:
    """Give the sections of toggles, and of the same as bitmaps."""
    segments = sorted(bitmaps)
    changed = BitMap.union(*bitmaps.values()) if bitmaps else BitMap()
    written = [bitmaps[segment].serialize() for segment in segments] + [changed.serialize()]
    blocks = toggles >> np.uint64(_USER_BITS + block_bits(toggles))
    counts = np.bincount(blocks.astype(np.int64))
    return {
        "toggles": toggles,
        "toggle_starts": np.append(0, np.cumsum(counts)).astype(np.uint32),
        "toggled_segments": np.array(segments, np.uint32),
        **bitmap_sections("toggle_bitmaps", "toggle_bitmap_offsets", written),
    }


def bitmap_sections(name: str, offsets: str, written: list[bytes]) -> dict[str, NDArray[Any]]:
    """Give the two sections of serialized bitmaps."""
    ends = np.cumsum([0, *map(len, written)]).astype(np.uint64)
    data = b"".join(written)
    return {name: np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), offsets: ends}


def open_overlay(path: Path, known: NewerKeys | None = None) -> Overlay:
    """Map an overlay, and the keys of the users who came after its base.

    Args:
        path: its file.
        known: keys that are open already, maybe fewer; what was checked is not checked again.

    Raises:
        IndexDamaged: see `open_container` and `open_keys`.
    """
    container = open_container(path, KIND)
    keys = container.facts["keys"]
    told = None if keys is None else ToldKeys(**keys)
    return Overlay(container, open_keys(path.parent, told, known))
