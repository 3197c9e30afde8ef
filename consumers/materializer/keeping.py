"""Chores on the real state folder: copies for analysts, and the disk's free space."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from state.errors import DiskFull, StateUnwritable

if TYPE_CHECKING:
    from pathlib import Path

    from state.replicas import Replicas
    from state.store import Store

_LOOK_SECONDS: Final = 10.0
_MEGABYTE: Final = 1_000_000
_log = logger(__name__)


class AnalystCopies:
    """`loop.Replicas` of the store; a copy that cannot be made stops nobody else's work.

    Args:
        replicas: of the store's folder.
        store: whose copies.
    """

    def __init__(self, replicas: Replicas, store: Store) -> None:
        self._replicas, self._store = replicas, store
        self._under_way = False

    @property
    def copying(self) -> bool:
        """See `loop.Replicas`."""
        if not self._under_way:
            return False
        try:
            self._under_way = not self._replicas.finished()
        except (DiskFull, StateUnwritable) as error:
            self._failed(error)
        else:
            if not self._under_way:
                metrics.REPLICAS.labels("made").inc()
        return self._under_way

    def begin(self) -> None:
        """See `loop.Replicas`."""
        try:
            self._under_way = self._replicas.refresh(self._store)
        except (DiskFull, StateUnwritable, BrokenPipeError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._under_way = False
        metrics.REPLICAS.labels("failed").inc()
        _log.error("no copy for analysts: they keep the one before", reason=str(error))


class NoCopies:
    """`loop.Replicas` of a store that is being built: nobody reads it yet."""

    copying = False

    def begin(self) -> None:
        """See `loop.Replicas`."""


class FreeSpace:
    """`loop.Disk`: warns once each time that space becomes short.

    Args:
        folder: on the disk that is looked at.
        low_bytes: less than this is short.
    """

    def __init__(self, folder: Path, low_bytes: int) -> None:
        self._folder, self._low_bytes = folder, low_bytes
        self._looked = float("-inf")
        self._warned = False

    def look(self, now: float) -> None:
        """See `loop.Disk`."""
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        free = shutil.disk_usage(self._folder).free
        metrics.STATE_FREE_BYTES.set(free)
        if free >= self._low_bytes:
            self._warned = False
        elif not self._warned:
            self._warned = True
            _log.warning(
                "the disk of the state folder is nearly full: free some space, or point "
                "HEAPLINE_STATE__DIRECTORY to a larger one; when it is full, memberships stop "
                "being updated",
                folder=str(self._folder),
                free_megabytes=free // _MEGABYTE,
            )
