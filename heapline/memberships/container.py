"""One file of the index: named sections behind a checked header, read through a memory map.

Format, version 5; all numbers little-endian::

    0    8  magic `HEAPLIDX`
    8    4  version
    12   4  bytes of the header
    16   8  bytes of the whole file
    24   4  CRC-32 of the header
    28   4  CRC-32 of the 28 bytes before
    32      header: JSON `{"kind", "facts", "sections": {name: [start, bytes, checksum]}}`
            sections, each on a boundary of 64 bytes, `start` counted from the first

The checksum of a section is the CRC-32 of the 64-bit sums of its whole pages of 4,096 bytes, going
on over the bytes that remain: as good at finding lost, torn or flipped bytes, and several times
faster than a CRC of everything, so that opening a file checks all of it.

What the sections hold: `heapline.memberships.base` and `heapline.memberships.overlay`.
"""

from __future__ import annotations

import mmap
import struct
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np
import orjson

from heapline.memberships.errors import IndexDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC: Final = b"HEAPLIDX"
VERSION: Final = 5
_PREAMBLE: Final = struct.Struct("<8sIIQI")
_CHECK: Final = struct.Struct("<I")
_PREAMBLE_BYTES: Final = _PREAMBLE.size + _CHECK.size
_ALIGNMENT: Final = 64
_PAGE_BYTES: Final = 4096

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("the membership index is read in place and needs a little-endian machine")


class Summed(NamedTuple):
    """What is known of a section's checksum, to go on with when the section has grown.

    Attributes:
        whole: bytes in whole pages.
        sums: the CRC-32 of their sums.
        checksum: of all.
    """

    whole: int = 0
    sums: int = 0
    checksum: int = 0


NOTHING_SUMMED: Final = Summed()


def summed(section: NDArray[np.uint8], known: Summed = NOTHING_SUMMED) -> Summed:
    """Give a section's checksum, as the format says; `known` is that of its beginning."""
    whole = section.size - section.size % _PAGE_BYTES
    pages = section[known.whole : whole].view(np.uint64).reshape(-1, _PAGE_BYTES // 8)
    sums = zlib.crc32(pages.sum(axis=1, dtype=np.uint64).tobytes(), known.sums)
    return Summed(whole, sums, zlib.crc32(section[whole:].tobytes(), sums))


def checksum(section: NDArray[np.uint8]) -> int:
    """Give a section's checksum, as the format says."""
    return summed(section).checksum


def encoded(
    kind: str, facts: Mapping[str, Any], sections: Mapping[str, NDArray[Any]]
) -> list[bytes | memoryview]:
    """Give the file as the pieces to be written one after the other.

    Args:
        kind: what the file is; a reader asks for one kind.
        facts: plain JSON for the header.
        sections: arrays of any type, contiguous.
    """
    table: dict[str, list[int]] = {}
    pieces: list[bytes | memoryview] = []
    end = 0
    for name, section in sections.items():
        raw = section.reshape(-1).view(np.uint8)
        table[name] = [end, raw.size, checksum(raw)]
        pieces += [raw.data, bytes(-raw.size % _ALIGNMENT)]
        end = _aligned(end + raw.size)
    header = orjson.dumps({"kind": kind, "facts": facts, "sections": table})
    first = _aligned(_PREAMBLE_BYTES + len(header))
    preamble = _PREAMBLE.pack(MAGIC, VERSION, len(header), first + end, zlib.crc32(header))
    start = preamble + _CHECK.pack(zlib.crc32(preamble)) + header
    return [start.ljust(first, b"\0"), *pieces]


class Container:
    """A file of the index, checked and mapped.

    Attributes:
        path: where it is.
        facts: what its header tells.
        identity: tells this file's content from any other's.
        data: the map of the whole file.
        size_bytes: of the whole file.
    """

    def __init__(self, path: Path, data: mmap.mmap, header: Mapping[str, Any], first: int) -> None:
        self.path = path
        self.data = data
        self.size_bytes = len(data)
        self.facts: dict[str, Any] = header["facts"]
        self.identity = f"{zlib.crc32(data[:first]):08x}-{len(data)}"
        self._first = first
        self._sections: dict[str, list[int]] = header["sections"]

    def start(self, name: str) -> int:
        """Give a section's first byte in the file."""
        return self._first + self._sections[name][0]

    def array(self, name: str, dtype: type[np.generic] | np.dtype[Any]) -> NDArray[Any]:
        """Give a section as an array that reads the map."""
        count = self._sections[name][1] // np.dtype(dtype).itemsize
        if not count:
            return np.empty(0, dtype)
        return np.frombuffer(self.data, dtype, count, self.start(name))

    def bytes_of(self, *names: str) -> int:
        """Give the size of some sections together."""
        return sum(self._sections[name][1] for name in names)

    def verify(self) -> None:
        """Check every section.

        Raises:
            IndexDamaged: one is not what was written.
        """
        for name, (_, _, expected) in self._sections.items():
            if checksum(self.array(name, np.uint8)) != expected:
                raise IndexDamaged(self.path, f"the checksum of section {name} does not match")


def open_container(path: Path, kind: str) -> Container:
    """Map a file and check all of it.

    Raises:
        IndexDamaged: it is missing, cut off, of another kind or version, or altered.
    """
    try:
        with path.open("rb") as file:
            data = map_file(file)
    except (OSError, ValueError) as error:
        raise IndexDamaged(path, f"cannot be read ({error})") from error
    header, first = _header(path, data)
    if header["kind"] != kind:
        raise IndexDamaged(path, f"is of kind {header['kind']}, not {kind}")
    opened = Container(path, data, header, first)
    opened.verify()
    return opened


def map_file(file: BinaryIO, size_bytes: int = 0) -> mmap.mmap:
    """Map a file, or so many bytes of it.

    The system reads it in large steps, where it can: look-ups miss fewer addresses.

    Raises:
        OSError, ValueError: it cannot be mapped, as when it is shorter.
    """
    data = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
    huge_pages = getattr(mmap, "MADV_HUGEPAGE", None)
    if huge_pages is not None:
        with suppress(OSError):
            data.madvise(huge_pages)
    return data


def _header(path: Path, data: mmap.mmap) -> tuple[dict[str, Any], int]:
    if len(data) < _PREAMBLE_BYTES or data[: len(MAGIC)] != MAGIC:
        raise IndexDamaged(path, "is not a file of the membership index")
    _, version, header_bytes, file_bytes, header_checksum = _PREAMBLE.unpack_from(data)
    if _CHECK.unpack_from(data, _PREAMBLE.size)[0] != zlib.crc32(data[: _PREAMBLE.size]):
        raise IndexDamaged(path, "its first bytes are damaged")
    if version != VERSION:
        raise IndexDamaged(path, f"is of version {version}; this program reads {VERSION}")
    if file_bytes != len(data):
        raise IndexDamaged(path, f"has {len(data)} of {file_bytes} bytes")
    text = data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + header_bytes]
    if zlib.crc32(text) != header_checksum:
        raise IndexDamaged(path, "its header is damaged")
    header: dict[str, Any] = orjson.loads(text)
    return header, _aligned(_PREAMBLE_BYTES + header_bytes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
