"""One DuckDB file, open in this process: statements with columns as tables, transactions."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import duckdb

from state.errors import StoreCorrupt, StoreMissing, file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]

STORAGE_VERSION: Final = "v1.5.0"
"""Format of new files: the engine is 2.x, analysts' DuckDB 1.5 is to read them too."""
BLOCK_BYTES: Final = 65_536
"""Of new files. DuckDB's default of 262,144 leaves a fifth of a file of memberships empty."""
_HEADERS_BYTES: Final = 3 * 4096
"""What stands before the first block of a DuckDB file (DuckDB, Internals: storage)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How DuckDB runs.

    Attributes:
        threads: worker threads.
        memory_bytes: what it may hold before it spills to disk.
        checkpoint_threshold_bytes: size of the log beyond which a commit checkpoints by itself.
            High, because that pause would fall into a payload; `Database.checkpoint` is called
            between payloads instead.
        spill: folder for what does not fit in memory.
    """

    threads: int = 2
    memory_bytes: int = 1 << 30
    checkpoint_threshold_bytes: int = 1 << 30
    spill: Path | None = None

    def config(self) -> dict[str, str | bool | int | float | list[str]]:
        """Give DuckDB's settings."""
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": self.threads,
            "memory_limit": f"{self.memory_bytes}B",
            "checkpoint_threshold": f"{self.checkpoint_threshold_bytes}B",
            # Nothing is ever fetched from a network.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if self.spill is not None:
            settings["temp_directory"] = str(self.spill)
        return settings


class Database:
    """A DuckDB file attached as `heapline` in an instance of its own; for one thread.

    Args:
        path: the file; made where it is missing, unless read only.
        engine: how DuckDB runs.
        read_only: never writes. The live file must not be opened so beside its writer.

    Raises:
        StoreMissing: read only, and there is no such file.
        StoreCorrupt, StoreLocked, StoreTooNew, StateUnwritable, DiskFull: see `state.errors`.
    """

    def __init__(self, path: Path, engine: Engine, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._planned: dict[str, str] = {}
        if read_only and not path.exists():
            raise StoreMissing(path)
        self._connection = duckdb.connect(":memory:", config=engine.config())
        try:
            with file_errors(path):
                self._attach()
        except BaseException:
            self._connection.close()
            raise

    def _attach(self) -> None:
        # An instance of its own and an explicit ATTACH: `duckdb.connect(path)` may hand back the
        # instance that this process opened earlier, which shows the file as it was then.
        run = self._connection.execute
        how = "READ_ONLY" if self.read_only else _new_file(self.path)
        run(f"ATTACH {quoted(self.path)} AS heapline ({how})")
        run("USE heapline")
        run("SET TimeZone = 'UTC'")
        self._refuse_truncated()

    def _refuse_truncated(self) -> None:
        """DuckDB opens a file that lacks its end and fails at the first read of what is missing.

        Blocks that are free may be missing: a checkpoint cuts them off after it has counted them.
        """
        found = self._connection.execute(
            "SELECT block_size, used_blocks FROM pragma_database_size()"
            " WHERE database_name = 'heapline'"
        ).fetchall()
        block_bytes, blocks = found[0]
        missing = _HEADERS_BYTES + block_bytes * blocks - self.path.stat().st_size
        if missing > 0:
            raise StoreCorrupt(self.path, f"its last {missing:,} bytes are missing")

    def run(self, sql: str, parameters: Sequence[object] = (), **tables: Columns) -> Rows:
        """Run one statement; each of `tables` can be read in it under its name.

        Raises:
            duckdb.Error: the statement is wrong.
            StoreCorrupt, DiskFull: the file is.
        """
        for name, columns in tables.items():
            self._connection.register(name, columns)
        try:
            with file_errors(self.path):
                return Rows(self._connection.execute(sql, parameters))
        finally:
            for name in tables:
                self._connection.unregister(name)

    def register(self, name: str, columns: Columns) -> None:
        """Let columns be read as a table from now on, in place of others of that name."""
        self._connection.register(name, columns)
        # A plan reads the columns it was made with, whatever is registered under their name now.
        for planned in self._planned.values():
            self._connection.execute(f"DEALLOCATE {planned}")
        self._planned.clear()

    def run_planned(self, sql: str) -> Rows:
        """Run one statement, which is planned the first time only.

        That saves much where little is done. It is planned again when a table was registered or
        changed meanwhile, and by DuckDB every time where it reads a table of the file.

        Args:
            sql: may read what was given to `register`, not what `run` is given.

        Raises:
            As `run`.
        """
        name = self._planned.get(sql)
        if name is None:
            name = f"planned_{len(self._planned)}"
            self.run(f"PREPARE {name} AS {sql}")
            self._planned[sql] = name
        return self.run(f"EXECUTE {name}")

    def one(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
        """Run a statement that gives exactly one row."""
        (row,) = self.run(sql, parameters).rows
        return row

    def columns(self, sql: str, parameters: Sequence[object] = ()) -> dict[str, np.ndarray]:
        """Run a statement and give its result as arrays."""
        with file_errors(self.path):
            return self._connection.execute(sql, parameters).fetchnumpy()

    def stream(self, sql: str, rows_at_once: int = 10_000) -> Iterator[tuple[Any, ...]]:
        """Run a statement and give its rows as they are read; nothing else may run meanwhile."""
        with file_errors(self.path):
            result = self._connection.execute(sql)
            while rows := result.fetchmany(rows_at_once):
                yield from rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing."""
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            # A failed COMMIT has ended it, or the whole instance is invalidated: what is raised
            # now is the reason, and the log holds no commit mark.
            return

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file."""
        self.run("CHECKPOINT heapline")

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def quoted(path: Path) -> str:
    """Give a path as SQL text."""
    return "'" + str(path).replace("'", "''") + "'"


def _new_file(path: Path) -> str:
    block = "" if path.exists() else f", BLOCK_SIZE {BLOCK_BYTES}"
    return f"STORAGE_VERSION '{STORAGE_VERSION}'{block}"


class Rows:
    """A statement's rows, fetched at once: an open result would keep the connection busy.

    Attributes:
        rows: all of them.
    """

    __slots__ = ("rows",)

    def __init__(self, result: duckdb.DuckDBPyConnection) -> None:
        self.rows: list[tuple[Any, ...]] = result.fetchall()

    @property
    def value(self) -> Any:  # noqa: ANN401 -- the type is the statement's
        """The first column of the only row, or None where there is none."""
        return self.rows[0][0] if self.rows else None
