"""Commits of offsets that the broker says have failed, for one partition of them or for all.

What a proxy needs for it: which answer belongs to a commit, and where in it the errors stand
(Kafka protocol, TxnOffsetCommit and EndTxn). The broker itself did as it was asked; the client must
believe the answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_COMMITS_OFFSETS: Final = 28
_ENDS_TRANSACTION: Final = 26
_FIRST_FLEXIBLE: Final = 3
"""From this version on both have lengths of variable size, and tags."""
OFFSET_ERRORS: Final = (3, 7, 12, 14, 15, 16, 22, 25, 29, 30)
"""Unknown topic, timed out, metadata too large, coordinator loading, none, another; illegal
generation, unknown member, topic or group not authorized: to be tried again, or to be aborted."""
ENDING_ERRORS: Final = (14, 15, 16, 51)
"""To be tried again: coordinator loading, none, another; concurrent transactions."""


class Frames:
    """Cuts a stream into the protocol's frames, each with its length before it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give the frames that are whole now."""
        self._rest += piece
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4])
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[:end], self._rest[end:]
            yield frame


@dataclass
class CommitErrors:
    """What is said of commits on the way back, while switched on.

    Attributes:
        share: of commits that fail; 0 is off.
        spoiled: how many answers were changed.
    """

    rng: random.Random
    share: float = 0.0
    spoiled: int = 0


@dataclass
class Conversation:
    """One connection: knows which answers are to commits."""

    errors: CommitErrors
    _asked: dict[int, tuple[int, int]] = field(default_factory=dict)

    def asks(self, frame: bytes) -> None:
        """Take note of a request."""
        key, version, number = struct.unpack_from(">hhi", frame, 4)
        if key in (_COMMITS_OFFSETS, _ENDS_TRANSACTION):
            self._asked[number] = key, version

    def answer(self, frame: bytes) -> bytes:
        """Give an answer as the client gets it."""
        (number,) = struct.unpack_from(">i", frame, 4)
        key, version = self._asked.pop(number, (0, 0))
        errors = self.errors
        if not key or errors.rng.random() >= errors.share:
            return frame
        errors.spoiled += 1
        if key == _ENDS_TRANSACTION:
            at = 8 + (version >= _FIRST_FLEXIBLE) + 4
            return _with_error(frame, [at], errors.rng.choice(ENDING_ERRORS))
        places = list(_error_places(frame, flexible=version >= _FIRST_FLEXIBLE))
        some = places if errors.rng.random() < 0.5 else [errors.rng.choice(places)]
        return _with_error(frame, some, errors.rng.choice(OFFSET_ERRORS))


def _with_error(frame: bytes, places: list[int], error: int) -> bytes:
    changed = bytearray(frame)
    for place in places:
        struct.pack_into(">h", changed, place, error)
    return bytes(changed)


def _error_places(frame: bytes, *, flexible: bool) -> Iterator[int]:
    """Give where the error of each partition stands in an answer to TxnOffsetCommit."""
    reader = _Reader(frame, 8 + flexible + 4, flexible=flexible)
    for _ in range(reader.count()):
        reader.skip_text()
        for _ in range(reader.count()):
            yield reader.at + 4
            reader.at += 6
            reader.skip_tags()
        reader.skip_tags()


@dataclass
class _Reader:
    frame: bytes
    at: int
    flexible: bool

    def count(self) -> int:
        """Read how many elements an array has."""
        if self.flexible:
            return self._variable() - 1
        self.at += 4
        return int.from_bytes(self.frame[self.at - 4 : self.at])

    def skip_text(self) -> None:
        """Pass over a text."""
        if self.flexible:
            length = self._variable() - 1
        else:
            length = int.from_bytes(self.frame[self.at : self.at + 2])
            self.at += 2
        self.at += length

    def skip_tags(self) -> None:
        """Pass over tags, of which there are none."""
        self.at += self.flexible

    def _variable(self) -> int:
        value = shift = 0
        while True:
            byte = self.frame[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
