"""A user's key and its hash, for one user and for whole columns of them.

A key is the workspace's code (3 bytes, little-endian) and the user id in UTF-8. Written down it is
followed by at least one byte 0xFF, which UTF-8 never has, up to a multiple of eight: so keys
compare as 64-bit words, and none is the beginning of another. The hash is the key's CRC-32.

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

PREFIX_BYTES: Final = 3
END: Final = 0xFF
WORD_BYTES: Final = 8
MAX_WORKSPACES: Final = 1 << (8 * PREFIX_BYTES)
LONG_BYTES: Final = 64
"""Keys longer than this are hashed and compared one by one; a table takes 256 KiB."""


def prefix_of(workspace_code: int) -> bytes:
    """Give what the keys of one workspace begin with."""
    return workspace_code.to_bytes(PREFIX_BYTES, "little")


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
        users: their ids.
        workspaces: the workspace's code, for all or for each.
        errors: what to do with text that has no UTF-8, as `str.encode` takes it.

    Raises:
        UnicodeEncodeError: `errors` is strict, and there is such text.
    """
    joined = "".join(users)
    if joined.isascii():
        data, texts = joined.encode(), users
    else:
        encoded = [user.encode("utf-8", errors) for user in users]
        data, texts = b"".join(encoded), encoded  # type: ignore[assignment]  # only measured
    text = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    if len(set(map(len, texts))) == 1:
        rows = np.arange(len(users))
        yield _group(rows, text.reshape(len(users), -1), workspaces)
        return
    yield from _by_length(text, np.fromiter(map(len, texts), np.int64, len(users)), workspaces)


def _by_length(
    text: NDArray[np.uint8], lengths: NDArray[np.int64], workspaces: int | NDArray[np.int64]
) -> Iterator[KeyGroup]:
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    for rows in np.split(order, cuts):
        if rows.size:
            places = starts[rows][:, None] + np.arange(lengths[rows[0]])
            yield _group(rows, text[places], workspaces)


def _group(
    rows: NDArray[np.int64], text: NDArray[np.uint8], workspaces: int | NDArray[np.int64]
) -> KeyGroup:
    length = PREFIX_BYTES + text.shape[1]
    matrix = np.full((rows.size, (length // WORD_BYTES + 1) * WORD_BYTES), END, np.uint8)
    codes = workspaces if isinstance(workspaces, int) else workspaces[rows]
    for byte in range(PREFIX_BYTES):
        matrix[:, byte] = (codes >> (8 * byte)) & 0xFF
    matrix[:, PREFIX_BYTES:length] = text
    return KeyGroup(rows, length, matrix.view(np.uint64), _hashes(matrix, length))


def _hashes(matrix: NDArray[np.uint8], length: int) -> NDArray[np.uint32]:
    if length > LONG_BYTES:
        each = (zlib.crc32(row[:length].tobytes()) for row in matrix)
        return np.fromiter(each, np.uint32, len(matrix))
    pairs = matrix.view(np.uint16)
    hashes = np.full(len(matrix), zlib.crc32(bytes(length)), np.uint32)
    for pair in range((length + 1) // 2):
        hashes ^= _crc_table(length - 2 * pair).take(pairs[:, pair])
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
