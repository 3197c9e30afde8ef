"""Backups of the store, and bringing one back.

A backup is one DuckDB file, as a replica is: all that was committed up to some version. It is the
only thing that brings the history back; memberships alone could be read from the topic again.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from state.database import Database, Engine
from state.errors import (
    BackupExists,
    StoreCorrupt,
    StoreLocked,
    StoreMissing,
    file_errors,
)
from state.folder import WriterLock, write_ahead_log
from state.migrations import applied, migrate
from state.replicas import newest_replica
from state.swapping import discard, leap, swap
from state.verify import verify
from state.views import make_views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from state.folder import StateFolder


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made or brought back.

    Attributes:
        path: its file.
        version: of the store in it.
        as_of_ms: when the newest of what it holds was applied; None where there is nothing.
        memberships, changes: how many it holds.
        size_bytes: of the file.
    """

    path: Path
    version: int
    as_of_ms: int | None
    memberships: int
    changes: int
    size_bytes: int


def back_up(folder: StateFolder, target: Path) -> Backup:
    """Write a backup; works beside a running writer, and without one.

    With a writer it is as new as the newest replica; without one, as the store.

    Args:
        folder: the state folder.
        target: a file that does not exist yet.

    Raises:
        BackupExists: the target exists.
        StoreMissing: there is nothing to back up.
        DiskFull, StateUnwritable: nothing was written.
    """
    if target.exists():
        raise BackupExists(target)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with _closed_file(folder) as source, file_errors(target):
            shutil.copyfile(source, partial)
            partial.chmod(0o640)
        backup = _examined(partial, target)
        with file_errors(target):
            partial.replace(target)
    finally:
        _remove(partial)
    return backup


def restore(folder: StateFolder, source: Path, now_ms: int) -> Backup:
    """Let a backup be the store; the next start builds the index anew and reads on from there.

    The backup is looked through first. The store that stood there before is gone afterwards.

    Args:
        folder: the state folder; nobody may be writing it.
        source: the backup.
        now_ms: since 1970-01-01 UTC.

    Raises:
        StoreMissing, StoreCorrupt, StoreTooNew: the backup is of no use; nothing was changed.
        StoreLocked: the state folder is being written.
        DiskFull, StateUnwritable: nothing was changed.
    """
    with Database(source, Engine(), read_only=True) as backup:
        if applied(backup) == 0:
            raise StoreCorrupt(source, "it is no backup of heapline")
        verdict = verify(backup, None, None)
    if verdict.problems:
        raise StoreCorrupt(source, verdict.problems[0])
    with WriterLock(folder):
        discard(folder)
        try:
            with file_errors(folder.being_built):
                shutil.copyfile(source, folder.being_built)
                folder.being_built.chmod(0o640)
            with Database(folder.being_built, Engine(spill=folder.spill)) as store:
                migrate(store, now_ms)
                make_views(store)
                version = leap(verdict.version, now_ms)
                store.run("UPDATE stored.fact SET version = ?", [version])
            restored = _examined(folder.being_built, folder.store)
            swap(folder)
        finally:
            discard(folder)
    return restored


@contextmanager
def _closed_file(folder: StateFolder) -> Iterator[Path]:
    """Give a file that holds everything and that nobody writes, its log folded in."""
    if not folder.path.is_dir():
        raise StoreMissing(folder.store)
    try:
        lock = WriterLock(folder)
    except StoreLocked:
        yield newest_replica(folder)
        return
    with lock:
        if not folder.store.exists():
            raise StoreMissing(folder.store)
        with Database(folder.store, Engine()) as store:
            store.checkpoint()
        yield folder.store


def _examined(path: Path, name: Path) -> Backup:
    with Database(path, Engine(), read_only=True) as made:
        version, as_of_ms, memberships, changes = made.one(
            "SELECT version, applied_at_ms, (SELECT count(*) FROM stored.membership),"
            " (SELECT count(*) FROM stored.history) FROM stored.fact"
        )
    return Backup(name, version, as_of_ms, memberships, changes, path.stat().st_size)


def _remove(path: Path) -> None:
    for each in (path, write_ahead_log(path)):
        each.unlink(missing_ok=True)
