"""Putting a file that was built beside the store in its place, whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from state.database import Database, quoted
from state.errors import file_errors
from state.folder import write_ahead_log
from state.migrations import migrate
from state.views import make_views

if TYPE_CHECKING:
    from pathlib import Path

    from state.database import Engine
    from state.folder import StateFolder

_VERSIONS_A_MILLISECOND: Final = 1 << 12


def leap(version: int, now_ms: int) -> int:
    """Give a version that no state of this folder had or will have by counting on.

    It grows with the clock and stays below 2**53, so that JSON holds it.
    """
    return max(version + 1, now_ms * _VERSIONS_A_MILLISECOND)


def prepare(folder: StateFolder, engine: Engine, now_ms: int) -> Path:
    """Make an empty store where the next one is built; what a crash left there goes."""
    discard(folder)
    with Database(folder.being_built, engine) as empty:
        migrate(empty, now_ms)
        make_views(empty)
    return folder.being_built


def discard(folder: StateFolder) -> None:
    """Remove what was built beside the store."""
    for path in (folder.being_built, write_ahead_log(folder.being_built)):
        path.unlink(missing_ok=True)


def swap(folder: StateFolder) -> None:
    """Let the file that was built be the store; both are closed, and their logs folded in.

    Raises:
        DiskFull, StateUnwritable: the store is as it was.
    """
    with file_errors(folder.store):
        _to_disk(folder.being_built)
        # A log beside the new file would be taken for its own.
        write_ahead_log(folder.store).unlink(missing_ok=True)
        folder.being_built.replace(folder.store)
        _to_disk(folder.path)
        shutil.rmtree(folder.spill, ignore_errors=True)


def attach(database: Database, path: Path, name: str, how: str) -> None:
    """Attach another file to an open one."""
    database.run(f"ATTACH {quoted(path)} AS {name} ({how})")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
