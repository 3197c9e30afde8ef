"""The files of an index, written so that a killed writer leaves a whole generation.

A file gets its name once it is complete; the manifest names it after that, and is itself replaced
by rename; last, readers are told the new number. Keys alone are appended to a file that has its
name, before the overlay that tells how many of them count. Whatever no generation names, a crash
left behind: the next writer removes it.

Nothing is waited for until it is on disk. After a power cut files may be torn; checksums tell, and
the writer makes the index anew from the store, which is durable. Most overlays are gone before the
kernel has written them, and waiting would take a third of publishing.
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heapline.memberships.container import encoded
from heapline.memberships.generations import (
    GENERATIONS_KEPT,
    MANIFEST,
    PUBLISHED,
    PUBLISHED_BYTES,
    Named,
    manifest_bytes,
)
from state.errors import file_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PARTIAL: Final = ".part"
_NUMBERED: Final = re.compile(r"(?:base|overlay|newer)-([0-9]{12})\.(?:index|keys)(?:\.part)?")
_NUMBER: Final = struct.Struct("<Q")
_MOST: Final = 10**12
_FOLDER_MODE: Final = 0o750


class IndexFiles:
    """Writes into one folder.

    Args:
        folder: the index; made where it is missing.

    Raises:
        DiskFull, StateUnwritable: by everything here; what was published before stays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with file_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
            if not (folder / PUBLISHED).exists():
                # Before the first generation: a reader maps it when it opens one, and would never
                # hear of another.
                self._tell(0)

    def highest(self) -> int:
        """Give the highest generation that was ever begun here."""
        found = [_NUMBERED.fullmatch(path.name) for path in self.folder.iterdir()]
        numbers = [int(each[1]) for each in found if each]
        return max([0, *numbers, self._published()])

    def write(
        self, name: str, kind: str, facts: Mapping[str, Any], sections: Mapping[str, NDArray[Any]]
    ) -> Path:
        """Write one file."""
        return self._replace(name, encoded(kind, facts, sections))

    def append(self, name: str, at: int, rows: NDArray[Any]) -> None:
        """Write the end of a file that grows, under its name at once; `at` is how long it was."""
        path = self.folder / name
        with file_errors(path), path.open("r+b" if at else "xb", buffering=0) as file:
            file.seek(at)
            _write_all(file.fileno(), [rows.view(np.uint8).data])

    def size_bytes(self, name: str) -> int:
        """Tell how long a file is, 0 where it is missing."""
        try:
            return (self.folder / name).stat().st_size
        except OSError:
            return 0

    def publish(self, generations: list[Named]) -> list[Named]:
        """Make the first of some generations current; give those that are kept."""
        kept = generations[:GENERATIONS_KEPT]
        self._replace(MANIFEST, [manifest_bytes(kept)])
        self._tell(kept[0].generation)
        return kept

    def prune(self, generations: Iterable[Named], also: Collection[str] = ()) -> None:
        """Remove what no generation names, except files that are still being made."""
        named = {name for each in generations for name in (each.base, each.overlay, each.keys)}
        with file_errors(self.folder):
            for path in self.folder.iterdir():
                name = path.name
                ours = _NUMBERED.fullmatch(name) or name == MANIFEST + PARTIAL
                if ours and name not in named and name.removesuffix(PARTIAL) not in also:
                    path.unlink(missing_ok=True)

    def _replace(self, name: str, pieces: Iterable[bytes | memoryview]) -> Path:
        path, partial = self.folder / name, self.folder / (name + PARTIAL)
        with file_errors(path):
            with partial.open("wb", buffering=0) as file:
                _write_all(file.fileno(), pieces)
            partial.replace(path)
        return path

    def _published(self) -> int:
        try:
            written = (self.folder / PUBLISHED).read_bytes()
        except FileNotFoundError:
            return 0
        number = int(_NUMBER.unpack(written)[0]) if len(written) == PUBLISHED_BYTES else 0
        return number if number < _MOST else 0  # else it is damaged

    def _tell(self, generation: int) -> None:
        # In place: readers have this very file mapped.
        path = self.folder / PUBLISHED
        with file_errors(path):
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                if os.fstat(number).st_size != PUBLISHED_BYTES:
                    os.ftruncate(number, PUBLISHED_BYTES)
                os.pwrite(number, _NUMBER.pack(generation), 0)
            finally:
                os.close(number)


def left_of(pieces: list[memoryview], written: int) -> list[memoryview]:
    """Give what is left of pieces of bytes, of which so many are written."""
    for at, piece in enumerate(pieces):
        if written < len(piece):
            return [piece[written:], *pieces[at + 1 :]]
        written -= len(piece)
    return []


def _write_all(descriptor: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Write in one step, if the system does; in many it would keep a file in smaller pages."""
    left = [memoryview(piece).cast("B") for piece in pieces]
    while left:
        left = left_of(left, os.writev(descriptor, left))
