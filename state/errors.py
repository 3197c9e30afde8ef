"""What can go wrong with the files of the state folder, under the tree of `heapline.errors`.

::

    MustStop       StoreCorrupt · StoreOutOfStep · DiskFull
    CallerMistake  StoreLocked · StoreTooNew · StateUnwritable · StoreMissing · BackupExists
                   QueryRefused
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import duckdb

from heapline.errors import CallerMistake, MustStop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL: Final = ("no space left", "file too large", "disk quota", "out of disk")
_DENIED: Final = (
    "permission denied",
    "read-only file system",
    "operation not permitted",
    "not a directory",
    "is a directory",
    "file exists",
)
_LOCKED: Final = ("could not set lock", "conflicting lock", "unique file handle conflict")
_MISSING: Final = ("database does not exist",)
_NEWER: Final = ("version number", "newer version", "storage version")
_CORRUPT: Final = (
    "corrupt",
    "checksum",
    "not a valid duckdb",
    "serialization",
    "could not read",
    "failure while replaying wal",
    "internal error",
    "has been invalidated",
)


class StoreCorrupt(MustStop):
    """The DuckDB file cannot be trusted: restore a backup or rebuild.

    Attributes:
        path: which file.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} is damaged ({found}). Nothing was changed. Bring a backup back, or rebuild "
            "it from the topic with `heapline state rebuild`; only a backup brings history back."
        )
        self.path = path


class StoreOutOfStep(MustStop):
    """The index took changes for effective that change nothing in the store; none was applied.

    Attributes:
        path: the store.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} and the index do not agree ({found}). Nothing was changed. Start again: the "
            "index is then built anew from the store. `heapline state verify` tells if that helped."
        )
        self.path = path


class DiskFull(MustStop):
    """The disk of the state folder is full, or soon will be.

    Attributes:
        path: what could not be written.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"no room to write {path} ({found}). What was committed before is kept; free some "
            "space, or point HEAPLINE_STATE__DIRECTORY to a larger disk, and start again."
        )
        self.path = path


class StoreLocked(CallerMistake):
    """Another process writes this state folder.

    Attributes:
        path: the lock's file.
        holder: the number of that process, where it is known.
    """

    def __init__(self, path: Path, holder: int | None) -> None:
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            f"{who} holds {path}: only one may write a state folder. Stop it first, or give this "
            "one a folder of its own with HEAPLINE_STATE__DIRECTORY."
        )
        self.path = path
        self.holder = holder


class StoreTooNew(CallerMistake):
    """The file was written by a newer version of the program.

    Attributes:
        path: which file.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} was written by a newer heapline ({found}). Nothing was changed. "
            "Run that version, or newer, again."
        )
        self.path = path


class StateUnwritable(CallerMistake):
    """The state folder may not be written.

    Attributes:
        path: what may not be written.
    """

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"{path} may not be written ({found}). Let this user own the folder, or choose "
            "another with HEAPLINE_STATE__DIRECTORY."
        )
        self.path = path


class StoreMissing(CallerMistake):
    """There is no store, or no replica of it, where one was expected.

    Attributes:
        path: where it would stand.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} does not exist; `heapline materialize` makes it")
        self.path = path


class BackupExists(CallerMistake):
    """A backup is to be written where something stands already.

    Attributes:
        path: where.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists; choose another name for the backup")
        self.path = path


class QueryRefused(CallerMistake):
    """DuckDB does not understand a query, or it is none that only reads."""


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what DuckDB and the operating system say about a file into errors of ours.

    Raises:
        StoreCorrupt, DiskFull, StoreLocked, StoreTooNew, StateUnwritable: as the message tells.
        duckdb.Error: it is about a statement, not about the file.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        ours = _translated(path, error)
        if ours is None:
            raise
        raise ours from error


def _translated(path: Path, error: Exception) -> Exception | None:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    words = str(error).lower()
    kinds: tuple[tuple[tuple[str, ...], Exception], ...] = (
        (_FULL, DiskFull(path, said)),
        (_DENIED, StateUnwritable(path, said)),
        (_LOCKED, StoreLocked(path, None)),
        (_MISSING, StoreMissing(path)),
        (_NEWER, StoreTooNew(path, said)),
        (_CORRUPT, StoreCorrupt(path, said)),
    )
    found = next((ours for signs, ours in kinds if any(s in words for s in signs)), None)
    if found is None and isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return StoreCorrupt(path, said)
    return found
