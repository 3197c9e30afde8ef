"""Where the files of the state folder stand, and the lock that lets one process write them.

DuckDB's own lock is not enough: it is a POSIX record lock, which a process loses as soon as it
closes *any* descriptor of the file. Opening or copying the live file inside the writer drops it,
and the commits of a second writer are then lost in silence. So the folder has a lock file of its
own, held with flock(2), which belongs to the open descriptor.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from state.errors import StoreLocked, file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS: Final = 20.0
"""How long a writer waits for those who read: a question in SQL, a verification."""
_AGAIN_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state folder's layout.

    Attributes:
        path: the folder itself.
    """

    path: Path

    @property
    def store(self) -> Path:
        """The DuckDB file that is the truth; only its writer opens it."""
        return self.path / "heapline.duckdb"

    @property
    def being_built(self) -> Path:
        """A file on its way to become the store; what a crash left of it is thrown away."""
        return self.path / "heapline.duckdb.building"

    def damaged(self, now_ms: int) -> Path:
        """Give a path to keep a store under that could not be read when it was replaced."""
        return self.path / f"heapline.duckdb.damaged-{now_ms}"

    @property
    def lock(self) -> Path:
        """The lock's file."""
        return self.path / "store.lock"

    @property
    def analyst(self) -> Path:
        """The read-only replica, under a path that never changes."""
        return self.path / "analyst" / "heapline.duckdb"

    @property
    def replicas(self) -> Path:
        """The folder of versioned replicas and their pointer `CURRENT`."""
        return self.path / "replicas"

    @property
    def index(self) -> Path:
        """The membership index's folder."""
        return self.path / "index"

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what does not fit in memory."""
        return self.path / "spill"

    def create(self) -> None:
        """Make the folders where they are missing.

        Raises:
            StateUnwritable: they may not be made.
        """
        with file_errors(self.path):
            for each in (self.path, self.analyst.parent, self.replicas):
                each.mkdir(parents=True, exist_ok=True, mode=0o750)


def write_ahead_log(database: Path) -> Path:
    """Give the path of a DuckDB file's write-ahead log; a copy without it lacks rows in silence."""
    return database.with_name(database.name + ".wal")


class WriterLock:
    """The right to write a state folder, held until `release` or the end of the process.

    Raises:
        StoreLocked: somebody else writes, be it in this process, or reads on and on.
        StateUnwritable: the lock's file may not be made.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._descriptor = _opened(folder)
        try:
            _take(self._descriptor)
        except OSError as error:
            holder = _holder(self._descriptor)
            os.close(self._descriptor)
            raise StoreLocked(folder.lock, holder) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        self._held = True

    def release(self) -> None:
        """Let somebody else write; a second call does nothing."""
        if self._held:
            self._held = False
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def kept_from_writers(folder: StateFolder) -> Iterator[None]:
    """Let nobody write the folder until the end of the block; others may read beside.

    A writer that starts meanwhile waits for a while.

    Raises:
        StoreLocked: somebody writes.
        StateUnwritable: the lock's file may not be made.
    """
    descriptor = _opened(folder)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreLocked(folder.lock, _holder(descriptor)) from error
        yield
    finally:
        os.close(descriptor)


def _opened(folder: StateFolder) -> int:
    folder.create()
    with file_errors(folder.lock):
        # Not inherited by programs started from here (PEP 446): no child keeps it alive.
        return os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o640)


def _take(descriptor: int) -> None:
    """Take the lock; wait while no writer that lives has it.

    Then somebody reads what nobody wrote until now; or a holder was killed while it started
    another program, which has the lock until it has begun.

    Raises:
        OSError: it is held.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if _lives(_holder(descriptor)) or time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _lives(holder: int | None) -> bool:
    return holder is not None and Path(f"/proc/{holder}").exists()


def _holder(descriptor: int) -> int | None:
    written = os.pread(descriptor, 20, 0)
    return int(written) if written.isdigit() else None
