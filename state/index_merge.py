"""Merging an overlay into its base beside the work: in a thread, made current by the next batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heapline.memberships.base import KIND, Base, open_base
from heapline.memberships.generations import base_name
from state.index_base import BaseColumns

if TYPE_CHECKING:
    from concurrent.futures import Future

    from state.index_delta import Delta
    from state.index_files import IndexFiles


@dataclass(frozen=True, slots=True)
class Merged:
    """A new base.

    Attributes:
        base: itself, open.
        delta: what it has taken in.
    """

    base: Base
    delta: Delta


class Merging:
    """At most one merge at a time.

    Args:
        files: where bases are written.
    """

    def __init__(self, files: IndexFiles) -> None:
        self._files = files
        self._running: Future[Merged] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.making: str | None = None

    @property
    def idle(self) -> bool:
        """Whether none was begun whose base is not current yet."""
        return self._running is None

    def begin(self, base: Base, delta: Delta, segments: int, generation: int) -> None:
        """Begin one; `generation` names its file."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "index-merge")
        self.making = base_name(generation)
        self._running = self._thread.submit(
            write_merged, self._files, self.making, base, delta, segments
        )

    def result(self, *, wait: bool = False) -> Merged | None:
        """Give the new base once, when it is there.

        Raises:
            DiskFull, StateUnwritable: it could not be written.
        """
        running = self._running
        if running is None or not (wait or running.done()):
            return None
        self._running = None
        return running.result()

    def close(self) -> None:
        """Wait for one that runs, and forget it."""
        if self._thread is not None:
            self._thread.shutdown()
        self._running = self._thread = None


def write_merged(files: IndexFiles, name: str, base: Base, delta: Delta, segments: int) -> Merged:
    """Write a base that has taken in what changed since an older one."""
    columns = BaseColumns.merged(base, delta, segments)
    path = files.write(name, KIND, columns.facts(base.epoch), columns.sections())
    return Merged(open_base(path), delta)
