"""Bits found in written bitmaps, against the bitmaps."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from pyroaring import BitMap

from heapline.memberships.base import CONTAINER_BITS, NO_BITS
from state.index_bits import bit_places

CONTAINER: Final = 1 << CONTAINER_BITS
DENSE: Final = range(0, CONTAINER, 3)
SPARSE: Final = range(7, CONTAINER, 900)
FULL: Final = range(CONTAINER)


def bitmap(*containers: range) -> BitMap:
    """Put codes into one container after the other."""
    codes = BitMap(
        number * CONTAINER + code for number, part in enumerate(containers) for code in part
    )
    codes.run_optimize()
    return codes


@pytest.mark.parametrize(
    ("containers", "dense"),
    [
        ((), []),
        ((SPARSE,), []),
        ((DENSE,), [0]),
        ((SPARSE, DENSE, range(0), DENSE), [1, 3]),
        ((FULL, DENSE, SPARSE, DENSE, DENSE), [1, 3, 4]),
        ((FULL, DENSE), []),
        ((DENSE, range(4_096), range(0, 8_192, 2), range(0, 8_194, 2)), [0, 3]),
    ],
)
def test_the_bits_are_the_members(containers: tuple[range, ...], dense: list[int]) -> None:
    """Where there are more than 4,096 of 65,536, not in runs; wherever the bitmap stands."""
    users = 6 * CONTAINER - 9
    codes, before = bitmap(*containers), bitmap(SPARSE, DENSE)
    written = [before.serialize(), codes.serialize()]
    places = bit_places(written, users).reshape(2, -1)[1]
    assert np.flatnonzero(places != NO_BITS).tolist() == dense
    for number in dense:
        first = int(places[number])
        bits = np.frombuffer(b"".join(written), np.uint8, CONTAINER // 8, first)
        members = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        assert members.tolist() == list(containers[number])
