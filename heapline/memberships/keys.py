"""A user's key and its hash, for one user and for whole columns of them.

A key is the user id in UTF-8, one byte 0xFF, which UTF-8 never has, and the workspace's code (3
bytes, little-endian): so none is the beginning of another. Written down it is followed by zeros up
to a multiple of eight bytes, and keys compare as 64-bit words. The hash is the key's CRC-32.

A column is hashed and compared without a Python step per user: keys of one length make a matrix,
and, since a CRC is linear, the CRC of a row is the XOR of one table look-up per two bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

END: Final = 0xFF
WORKSPACE_BYTES: Final = 3
TAIL_BYTES: Final = 1 + WORKSPACE_BYTES
WORD_BYTES: Final = 8
MAX_WORKSPACES: Final = 1 << (8 * WORKSPACE_BYTES)
LONG_BYTES: Final = 64
"""Keys longer than this are hashed and compared one by one; a table takes 256 KiB."""
_BYTES: Final = "latin-1"
"""Text of bytes as they are."""
_LAST_ASCII: Final = 0x7F
BEHIND: Final = "\n"
"""Stands behind each id of a column in one piece."""


def tail_of(workspace_code: int) -> bytes:
    """Give what the keys of one workspace end with."""
    return bytes([END]) + workspace_code.to_bytes(WORKSPACE_BYTES, "little")


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """Keys of one length.

    Attributes:
        rows: where they stand in the column.
        length: bytes of each key, without what follows it.
        words: one row a key, as written down.
        hashes: one for each.
    """

    rows: NDArray[np.int64]
    length: int
    words: NDArray[np.uint64]
    hashes: NDArray[np.uint32]

    def key(self, at: int) -> bytes:
        """Give one key."""
        written: bytes = self.words[at].tobytes()
        return written[: self.length]


def key_groups(
    users: Sequence[str], workspaces: int | NDArray[np.int64], errors: str = "strict"
) -> Iterator[KeyGroup]:
    """Make the keys of a column of users.

    Args:
        users: their ids; at least one.
        workspaces: the workspace's code, for all or for each.
        errors: what to do with text that has no UTF-8, as `str.encode` takes it.

    Raises:
        UnicodeEncodeError: `errors` is strict, and there is such text.
    """
    if isinstance(workspaces, int) and (group := _alike(users, workspaces)):
        return iter([group])
    return key_groups_of(*encoded(users, errors), workspaces)


def _alike(users: Sequence[str], workspace: int) -> KeyGroup | None:
    """Make the keys of ASCII ids of one length, which need but be joined; None of any others."""
    end, tail = len(users[0]), tail_of(workspace)
    length = end + TAIL_BYTES
    if len(users[-1]) != end or length > LONG_BYTES or END in tail[1:]:
        return None
    width = -(-length // WORD_BYTES) * WORD_BYTES
    behind = tail.ljust(width - end, b"\0").decode(_BYTES)
    try:
        text = (behind.join(users) + behind).encode(_BYTES)
    except UnicodeEncodeError:
        return None
    if len(text) != width * len(users):
        return None
    matrix = np.frombuffer(text, np.uint8).reshape(-1, width)
    above_ascii = np.count_nonzero(matrix.view(np.int8) < 0)
    if above_ascii != sum(byte > _LAST_ASCII for byte in tail) * len(users):
        return None
    # All ids are ASCII, then, so this byte stands once behind each, and nowhere else.
    if not (matrix[:, end] == END).all():
        return None
    hashes = _hashes(matrix, end, tail)
    return KeyGroup(np.arange(len(users)), length, matrix.view(np.uint64), hashes)


def encoded(
    users: Sequence[str], errors: str = "strict"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Put ids into one piece of UTF-8, a line end behind each; give it and where those stand.

    Args:
        users: their ids; at least one.
        errors: see `key_groups`.
    """
    count = len(users)
    text = np.frombuffer((BEHIND.join(users) + BEHIND).encode("utf-8", errors), np.uint8)
    is_end = text == ord(BEHIND)
    if np.count_nonzero(is_end) != count:  # some id holds a line end
        lengths = np.fromiter((len(user.encode("utf-8", errors)) for user in users), np.int64)
        return text, np.cumsum(lengths + 1) - 1
    width, rest = divmod(text.size, count)
    if not rest and is_end[width - 1 :: width].all():  # several times quicker than to look for each
        return text, np.arange(width - 1, text.size, width)
    return text, np.flatnonzero(is_end)


def width_of(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> int:
    """Give how many bytes each id of a column in one piece has, with the one behind it; 0 if mixed.

    Args:
        text: their ids, in UTF-8, a byte of no meaning behind each; at least one.
        ends: where those bytes stand.
    """
    width, rest = divmod(text.size, ends.size)
    alike = not rest and np.array_equal(ends, np.arange(width - 1, text.size, width))
    return width if alike else 0


def key_groups_of(
    text: NDArray[np.uint8], ends: NDArray[np.int64], workspaces: int | NDArray[np.int64]
) -> Iterator[KeyGroup]:
    """Make the keys of a column of users in one piece.

    Args:
        text: their ids, in UTF-8, a byte of no meaning behind each; at least one.
        ends: where those bytes stand.
        workspaces: the workspace's code, for all or for each.
    """
    if width := width_of(text, ends):
        yield _group(np.arange(ends.size), text.reshape(-1, width)[:, :-1], workspaces)
        return
    yield from _by_length(text, np.diff(ends, prepend=-1) - 1, ends, workspaces)


def _by_length(
    text: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    ends: NDArray[np.int64],
    workspaces: int | NDArray[np.int64],
) -> Iterator[KeyGroup]:
    starts = ends - lengths
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    for rows in np.split(order, cuts):
        places = starts[rows][:, None] + np.arange(lengths[rows[0]])
        yield _group(rows, text[places], workspaces)


def _group(
    rows: NDArray[np.int64], text: NDArray[np.uint8], workspaces: int | NDArray[np.int64]
) -> KeyGroup:
    end = text.shape[1]
    length = end + TAIL_BYTES
    matrix = np.empty((rows.size, -(-length // WORD_BYTES) * WORD_BYTES), np.uint8)
    matrix[:, :end] = text
    matrix[:, end] = END
    codes = workspaces if isinstance(workspaces, int) else workspaces[rows]
    for byte in range(WORKSPACE_BYTES):
        matrix[:, end + 1 + byte] = (codes >> (8 * byte)) & 0xFF
    matrix[:, length:] = 0
    if length > LONG_BYTES:
        hashes = np.fromiter((zlib.crc32(row[:length].tobytes()) for row in matrix), np.uint32)
    elif isinstance(workspaces, int):
        hashes = _hashes(matrix, end, tail_of(workspaces))
    else:
        hashes = _hashes(matrix, length, b"")
    return KeyGroup(rows, length, matrix.view(np.uint64), hashes)


def _hashes(matrix: NDArray[np.uint8], end: int, tail: bytes) -> NDArray[np.uint32]:
    """Hash the rows of a matrix up to a column, and the bytes that follow there in all of them."""
    length = end + len(tail)
    # Pairs are looked up as if all others were zeros, so the last pair counts there as zeros, too.
    others = (bytes(end + end % 2) + tail[end % 2 :])[:length]
    hashes = np.full(len(matrix), zlib.crc32(others), np.uint32)
    pairs = matrix.view(np.uint16)
    for first in range(0, end, 2):
        # Nothing is out of range to be clipped; checking that would take longer.
        hashes ^= _crc_table(length - first).take(pairs[:, first // 2], mode="clip")
    return hashes


@lru_cache(maxsize=LONG_BYTES)
def _crc_table(distance: int) -> NDArray[np.uint32]:
    """Give what two bytes that stand `distance` bytes before the end of a key add to its CRC.

    Where `distance` is 1 the second byte lies behind the end and adds nothing.
    """
    table = np.zeros(1 << 16, np.uint32)
    for bit in range(16):
        if bit // 8 >= distance:
            table[1 << bit : 2 << bit] = table[: 1 << bit]
            continue
        alone = bytearray(distance)
        alone[bit // 8] = 1 << (bit % 8)
        adds = zlib.crc32(alone) ^ zlib.crc32(bytes(distance))
        table[1 << bit : 2 << bit] = table[: 1 << bit] ^ np.uint32(adds)
    return table
