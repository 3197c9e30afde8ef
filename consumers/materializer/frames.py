"""What the process that reads is told, and what it tells, through pipes.

Each is a frame: a length, then pickled bytes.
"""

from __future__ import annotations

import pickle
import select
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import io

    from consumers.materializer.parts import Part
    from consumers.materializer.starting import TopicPartition
    from heapline.erasures import Erasures
    from heapline.settings import KafkaSettings, LogSettings, SchemaRegistrySettings

_LENGTH: Final = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Order:
    """What to read, and how.

    Attributes:
        kafka, registry, log: settings.
        levels: of loggers by name, as they are where this is asked for.
        erasures: whose data was erased.
        positions, whole_pages: see `Reading.open`.
    """

    kafka: KafkaSettings
    registry: SchemaRegistrySettings
    log: LogSettings
    levels: dict[str, int]
    erasures: Erasures | None
    positions: dict[TopicPartition, int]
    whole_pages: bool


@dataclass(frozen=True, slots=True)
class Came:
    """What one read gave.

    Attributes:
        parts: in order; maybe none.
        unreadable: records passed over, by what they should have been.
        error: raised behind the parts; only where it is `RegistryUnavailable` more comes.
    """

    parts: list[Part]
    unreadable: dict[str, int]
    error: Exception | None = None


class FrameWriter:
    """Writes objects; blocks while the pipe is full.

    Args:
        pipe: without a buffer of its own.
    """

    def __init__(self, pipe: io.FileIO) -> None:
        self._pipe = pipe

    def write(self, what: object) -> None:
        """Write one.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        body = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
        self._all(_LENGTH.pack(len(body)))
        self._all(body)

    def _all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._pipe.write(left) :]


class FrameReader:
    """Reads what a `FrameWriter` wrote, which must be trusted: it is unpickled.

    Args:
        pipe: without a buffer of its own.
    """

    def __init__(self, pipe: io.FileIO) -> None:
        self._pipe = pipe

    def read(self, timeout_seconds: float | None = None) -> Any:  # noqa: ANN401 -- what was written
        """Give the next, or None where none begins to come in time.

        Raises:
            EOFError: the other side is gone.
        """
        if timeout_seconds is not None and not _has_something(self._pipe, timeout_seconds):
            return None
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return pickle.loads(self._exactly(length))  # noqa: S301 -- our own process wrote it

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        left = memoryview(data)
        while left:
            got = self._pipe.readinto(left)
            if not got:
                raise EOFError
            left = left[got:]
        return data


def _has_something(pipe: io.FileIO, timeout_seconds: float) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(timeout_seconds * 1_000))
