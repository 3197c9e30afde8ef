"""Where in written bitmaps plain bits stand, so that readers test one without reading a bitmap.

A portable roaring bitmap keeps the codes of every 65,536 users in a container of its own, and one
that holds more than 4,096 of them, and not in runs, as 8,192 bytes of bits
(https://github.com/RoaringBitmap/RoaringFormatSpec).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from heapline.memberships.base import CONTAINER_BITS, NO_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WITH_RUNS: Final = 12_347
_FEW_WITH_RUNS: Final = 4
"""Below this many containers, with runs among them, it is not written where each begins."""
_BITS_BYTES: Final = 8_192
_MOST_LISTED: Final = 4_096


def bit_places(written: Sequence[bytes], users: int) -> NDArray[np.int64]:
    """Give the first byte of the bits of every 65,536 users, counted from the first bitmap.

    Args:
        written: serialized bitmaps, one after the other.
        users: how many codes there are.

    Returns:
        For every bitmap, and in it for every 65,536 users; `NO_BITS` where none stand.
    """
    places = np.full((len(written), -(-users >> CONTAINER_BITS)), NO_BITS, np.int64)
    begin = 0
    for row, bitmap in zip(places, written, strict=True):
        if len(bitmap) > _BITS_BYTES:
            containers, starts = _bits_of(bitmap)
            row[containers] = begin + starts.astype(np.int64)
        begin += len(bitmap)
    return places.reshape(-1)


def _bits_of(bitmap: bytes) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Give the numbers of the containers that are bits, and where each begins in the bitmap."""
    cookie, count = np.frombuffer(bitmap, np.uint32, 2).tolist()
    begin, in_runs = 8, np.zeros(count, np.uint8)
    if cookie & 0xFFFF == _WITH_RUNS:
        count = (cookie >> 16) + 1
        if count < _FEW_WITH_RUNS:
            return np.empty(0, np.uint16), np.empty(0, np.uint32)
        flags = np.frombuffer(bitmap, np.uint8, -(-count // 8), 4)
        begin, in_runs = 4 + flags.size, np.unpackbits(flags, count=count, bitorder="little")
    numbers, one_less = np.frombuffer(bitmap, np.uint16, 2 * count, begin).reshape(-1, 2).T
    starts = np.frombuffer(bitmap, np.uint32, count, begin + 4 * count)
    bits = (one_less >= _MOST_LISTED) & (in_runs == 0)
    return numbers[bits], starts[bits]
