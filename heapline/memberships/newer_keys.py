"""The keys of the users who came after a base, in a file that grows with every generation.

It holds what a dictionary's `keys` hold (`heapline.memberships.dictionary`), and nothing else. What
an overlay tells of it (its fact `keys`, null where nobody came) is its `name`, how many `words` of
it are the generation's, and their `checksum`, as a section's (`heapline.memberships.container`).
These never change; what stands behind them is a later generation's, or was left by a crash. A new
base begins a new file, and so does a new writer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heapline.memberships.container import NOTHING_SUMMED, Summed, map_file, summed
from heapline.memberships.errors import IndexDamaged
from heapline.memberships.keys import WORD_BYTES

if TYPE_CHECKING:
    import mmap
    from pathlib import Path


class ToldKeys(NamedTuple):
    """What an overlay tells of its keys; see above."""

    name: str
    words: int
    checksum: int


@dataclass(frozen=True, slots=True, eq=False)
class NewerKeys:
    """Keys that are mapped and checked.

    Attributes:
        name: of their file; None where there are none.
        data: exactly they.
        summed: their checksum.
        file: device and number of the file; nobody else's while it is mapped.
    """

    name: str | None
    data: mmap.mmap | bytes
    summed: Summed
    file: tuple[int, int]


NO_KEYS: Final = NewerKeys(None, b"", NOTHING_SUMMED, (0, 0))


def open_keys(folder: Path, told: ToldKeys | None, known: NewerKeys | None) -> NewerKeys:
    """Map a generation's keys, and check those that are not known.

    Args:
        folder: the index.
        told: what the overlay tells of them.
        known: keys that were checked, maybe of the same file.

    Raises:
        IndexDamaged: the file is missing, too short, altered, or another one.
    """
    if told is None:
        return NO_KEYS
    path, size = folder / told.name, WORD_BYTES * told.words
    try:
        with path.open("rb") as opened:
            status = os.fstat(opened.fileno())
            data = map_file(opened, size)
    except (OSError, ValueError) as error:
        raise IndexDamaged(path, f"cannot be read ({error})") from error
    file = status.st_dev, status.st_ino
    before = NOTHING_SUMMED
    if known is not None and known.file == file and len(known.data) <= size:
        before = known.summed
    checked = summed(np.frombuffer(data, np.uint8), before)
    if checked.checksum != told.checksum:
        raise IndexDamaged(path, f"the checksum of the first {size} bytes does not match")
    return NewerKeys(path.name, data, checked, file)
