"""Replicas of the store for readers: one under a path that never changes, and the latest versions.

    <state>/analyst/heapline.duckdb          always the newest; an open connection keeps its own
    <state>/replicas/heapline-<version>.duckdb   the newest few, for readers on this machine
    <state>/replicas/CURRENT                 the name of the newest of them

A replica is a copy of the store's file just after a checkpoint, made by a child process while the
writer goes on: until the next checkpoint it writes to the log only. So no checkpoint may happen
while a copy is under way; `Replicas.refresh` sees to that if all checkpoints are left to it.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from state.database import Database, Engine
from state.errors import DiskFull, StateUnwritable, StoreLocked, StoreMissing
from state.folder import kept_from_writers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from state.folder import StateFolder
    from state.store import Store

CURRENT: Final = "CURRENT"
_NAME: Final = re.compile(r"heapline-([0-9]+)\.duckdb")
_OPEN_ATTEMPTS: Final = 20
_COPYING: Final = Path(__file__).with_name("copying.py")


class Replicas:
    """Makes replicas of one store, in a child process that lives as long as this object.

    Args:
        folder: the state folder.
        kept: how many versions stay.
    """

    def __init__(self, folder: StateFolder, kept: int = 3) -> None:
        self._folder = folder
        self._kept = kept
        self._child: subprocess.Popen[str] | None = None
        self._under_way: int | None = None
        self._made: int | None = None

    @property
    def version(self) -> int | None:
        """The store's version in the newest replica made here; None before the first."""
        return self._made

    def refresh(self, store: Store) -> bool:
        """Begin a replica of what is committed now, unless one is under way or nothing is new.

        The store goes on meanwhile; `finished` tells when it is done.

        Returns:
            Whether one was begun.

        Raises:
            DiskFull, StateUnwritable: the one before could not be made.
        """
        if not self.finished() or self._made == store.version:
            return False
        store.checkpoint()
        self._begin(store.version)
        return True

    def finished(self, timeout_seconds: float = 0.0) -> bool:
        """Tell whether no copy is under way, after waiting for so long at most.

        Raises:
            DiskFull, StateUnwritable: it could not be made; the old replicas stand.
        """
        if self._under_way is None:
            return True
        answers = _pipe(self._child, "stdout")
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                return False
        version, self._under_way = self._under_way, None
        problem = answers.readline()
        if problem != "\n":
            self._stop()
            raise _error(self._folder.replicas, problem.strip() or "the copying process ended")
        _point(self._folder, version)
        self._made = version
        self._remove_old(version)
        return True

    def _remove_old(self, newest: int) -> None:
        known = versions(self._folder)
        known.pop(newest, None)
        for version in sorted(known)[: max(0, len(known) - self._kept + 1)]:
            known[version].unlink(missing_ok=True)

    def forget_all(self) -> None:
        """Remove all replicas, so that nothing of an erased user is left in them.

        Connections that are open keep the bytes of theirs until they are closed.
        """
        self.finished(timeout_seconds=60.0)
        for path in [*versions(self._folder).values(), self._folder.analyst]:
            path.unlink(missing_ok=True)
        (self._folder.replicas / CURRENT).unlink(missing_ok=True)
        self._made = None

    def _begin(self, version: int) -> None:
        target = replica_path(self._folder, version)
        job = {
            "source": str(self._folder.store),
            "targets": [str(target), str(self._folder.analyst)],
        }
        if self._child is None or self._child.poll() is not None:
            self._stop()
            _sweep(self._folder)
            self._child = _started()
        asked = _pipe(self._child, "stdin")
        asked.write(json.dumps(job) + "\n")
        asked.flush()
        self._under_way = version

    def _stop(self) -> None:
        if self._child is not None:
            self._child.communicate()
            self._child = None

    def close(self) -> None:
        """Wait for the copy under way, and end the child."""
        try:
            self.finished(timeout_seconds=60.0)
        finally:
            self._stop()
            self._under_way = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def replica_path(folder: StateFolder, version: int) -> Path:
    """Give the path of one version."""
    return folder.replicas / f"heapline-{version}.duckdb"


def versions(folder: StateFolder) -> dict[int, Path]:
    """Give the versions that stand in a state folder."""
    found = ((_NAME.fullmatch(path.name), path) for path in _listed(folder.replicas))
    return {int(name[1]): path for name, path in found if name is not None}


def open_replica(folder: StateFolder, engine: Engine | None = None) -> Database:
    """Open the newest version, read only; it stays as it is however long it is open.

    Raises:
        StoreMissing: there is none yet.
        StoreCorrupt: it is damaged.
    """
    for _ in range(_OPEN_ATTEMPTS):
        try:
            return Database(newest_replica(folder), engine or Engine(), read_only=True)
        except (StoreMissing, FileNotFoundError):
            # Between our reading the name and opening the file, newer ones have replaced it.
            if not (folder.replicas / CURRENT).exists():
                break
    raise StoreMissing(folder.replicas / CURRENT)


def newest_replica(folder: StateFolder) -> Path:
    """Give the path of the newest version, which stays until as many newer ones are made.

    Raises:
        StoreMissing: there is none yet.
    """
    try:
        return folder.replicas / (folder.replicas / CURRENT).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise StoreMissing(folder.replicas / CURRENT) from None


@contextmanager
def settled(folder: StateFolder, engine: Engine | None = None) -> Iterator[Database]:
    """Open what can be read without disturbing anybody, read only.

    That is the store itself where nobody writes it, and then nobody can until the end of the
    block; else the newest replica.

    Raises:
        StoreMissing: there is neither.
        StoreCorrupt: it is damaged.
    """
    engine = engine or Engine()
    if not folder.path.is_dir():
        raise StoreMissing(folder.store)
    with ExitStack() as stack:
        try:
            stack.enter_context(kept_from_writers(folder))
        except StoreLocked:
            found = open_replica(folder, engine)
        else:
            found = Database(folder.store, engine, read_only=True)
        yield stack.enter_context(found)


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _sweep(folder: StateFolder) -> None:
    """Remove what a process that was killed left half copied."""
    for path in (*_listed(folder.replicas), *_listed(folder.analyst.parent)):
        if path.name.startswith(".") and path.name.endswith(".partial"):
            path.unlink(missing_ok=True)


def _point(folder: StateFolder, version: int) -> None:
    partial = folder.replicas / f".{CURRENT}.partial"
    partial.write_text(replica_path(folder, version).name + "\n", encoding="ascii")
    partial.replace(folder.replicas / CURRENT)


def _started() -> subprocess.Popen[str]:
    # By its path and isolated: nothing in the working directory or the environment can stand in
    # for what it imports.
    return subprocess.Popen(
        [sys.executable, "-I", str(_COPYING)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _pipe(child: subprocess.Popen[str] | None, name: str) -> IO[str]:
    pipe: IO[str] = getattr(child, name)
    return pipe


def _error(path: Path, problem: str) -> DiskFull | StateUnwritable:
    if "space" in problem or "too large" in problem or "quota" in problem:
        return DiskFull(path, problem)
    return StateUnwritable(path, problem)
