"""Reading in a thread of its own, while what was read before is applied."""

from __future__ import annotations

from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from heapline.errors import RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.materializer.parts import Part
    from consumers.materializer.source import Reading
    from consumers.materializer.starting import TopicPartition

_AHEAD: Final = 128
"""Reads of up to 10,000 records that wait to be taken: more than the largest payload, so that
reading goes on while one is applied. Some 70 MB."""
_LOOK_SECONDS: Final = 0.1


class ReadAhead:
    """`Reading` of another, which is read ahead from `open` until `close`.

    What it raises comes in its turn, behind what was read before; only when the registry is away
    reading goes on afterwards. `close` leaves the other source open.

    Args:
        source: read by one thread at a time: by this one's until `close` has returned.
    """

    def __init__(self, source: Reading) -> None:
        self._source = source
        self._stopping = Event()
        self._came: Queue[list[Part] | Exception] = Queue(_AHEAD)
        self._thread = Thread(target=self._read_ahead, name="read-ahead", daemon=True)

    def open(self, positions: Mapping[TopicPartition, int], *, whole_pages: bool = True) -> None:
        """See `Reading.open`; once."""
        self._source.open(positions, whole_pages=whole_pages)
        self._thread.start()

    def read(self, timeout_seconds: float) -> list[Part]:
        """See `Reading.read`."""
        try:
            came = self._came.get(timeout=max(timeout_seconds, 0.001))
        except Empty:
            return []
        if isinstance(came, Exception):
            raise came
        return came

    def close(self) -> None:
        """Stop reading; what was read and not taken is forgotten."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _read_ahead(self) -> None:
        while not self._stopping.is_set():
            try:
                came: list[Part] | Exception = self._source.read(_LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 -- raised where it can be dealt with
                came = error
            if isinstance(came, Exception) or came:
                self._put(came)
            if isinstance(came, Exception) and not isinstance(came, RegistryUnavailable):
                return

    def _put(self, came: list[Part] | Exception) -> None:
        while not self._stopping.is_set():
            try:
                self._came.put(came, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return
