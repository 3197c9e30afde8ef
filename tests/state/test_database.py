from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from state.database import BLOCK_BYTES, Database, Engine, quoted
from state.errors import StoreCorrupt, StoreMissing
from state.folder import write_ahead_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a path with what SQL has to quote in it."""
    return tmp_path / "it's.duckdb"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """Give a new file with one table."""
    with Database(path, Engine()) as opened:
        opened.run("CREATE TABLE numbers (n INTEGER)")
        yield opened


def test_columns_are_tables_for_one_statement(database: Database) -> None:
    """Arrays can be read under the name they are given, and not afterwards."""
    columns = {"n": np.arange(3, dtype=np.int32)}
    database.run("INSERT INTO numbers SELECT n * ? FROM given", [10], given=columns)
    assert database.run("FROM numbers").rows == [(0,), (10,), (20,)]
    assert database.columns("SELECT n FROM numbers ORDER BY n DESC")["n"].tolist() == [20, 10, 0]
    with pytest.raises(duckdb.CatalogException):
        database.run("FROM given")


def test_a_planned_statement_sees_what_is_there_when_it_runs(database: Database) -> None:
    """Rows, tables and registered columns may all change between two runs of one plan."""
    insert, count = "INSERT INTO numbers SELECT n FROM given", "SELECT count(*) FROM numbers"
    columns = {"n": np.arange(3, dtype=np.int32)}
    database.register("given", columns)
    assert database.run_planned(insert).value == 3
    columns["n"][:] = 7
    assert database.run_planned(insert).value == 3
    assert database.run_planned(count).value == 6
    database.register("given", {"n": np.arange(10, 15, dtype=np.int32)})
    assert database.run_planned(insert).value == 5
    database.run("ALTER TABLE numbers ADD COLUMN twice INTEGER")
    with pytest.raises(duckdb.BinderException):
        database.run_planned(insert)
    database.run("ALTER TABLE numbers DROP COLUMN twice")
    assert database.run_planned(insert).value == 5
    rows = [n for (n,) in database.run("FROM numbers").rows]
    assert rows == [0, 1, 2, 7, 7, 7, *range(10, 15), *range(10, 15)]


def test_one_row_and_one_value(database: Database) -> None:
    """A row is a tuple; a value is None where there is no row."""
    assert database.one("SELECT 1, 'a'") == (1, "a")
    assert database.run("SELECT 7").value == 7
    assert database.run("FROM numbers").value is None
    with pytest.raises(ValueError, match="not enough"):
        database.one("FROM numbers")


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    """What raises inside takes everything back, and the connection goes on."""
    for wrong in ("SELECT error('no')", "nonsense"):
        with pytest.raises(duckdb.Error):
            _insert_and(database, wrong)
    assert database.run("FROM numbers").rows == []
    with database.transaction():
        database.run("INSERT INTO numbers VALUES (2)")
        database.run_planned("INSERT INTO numbers VALUES (1)")
    assert database.run("FROM numbers").rows == [(2,), (1,)]


def _insert_and(database: Database, sql: str) -> None:
    with database.transaction():
        database.run_planned("INSERT INTO numbers VALUES (1)")
        database.run(sql)


def test_rows_are_streamed(database: Database) -> None:
    """All come, however few at once; and then the connection is free again."""
    rows = database.stream("FROM range(5)", rows_at_once=2)
    assert list(rows) == [(0,), (1,), (2,), (3,), (4,)]
    assert database.run("SELECT 1").value == 1


def test_commits_stay_in_the_log_until_a_checkpoint(database: Database, path: Path) -> None:
    """The log grows with a commit, and a checkpoint folds it into the file."""
    database.run("INSERT INTO numbers FROM range(1000)")
    assert write_ahead_log(path).stat().st_size > 0
    database.checkpoint()
    log = write_ahead_log(path)
    assert not log.exists() or log.stat().st_size == 0


def test_a_new_file_has_the_format_analysts_read(database: Database, path: Path) -> None:
    """The storage version is that of DuckDB 1.5, and blocks are small."""
    tags = database.one("SELECT tags FROM duckdb_databases() WHERE database_name = 'heapline'")[0]
    assert tags["storage_version"].startswith("v1.5")
    size = database.one(
        "SELECT block_size FROM pragma_database_size() WHERE database_name = 'heapline'"
    )
    assert size == (BLOCK_BYTES,)
    assert quoted(path).count("''") == 1


def test_an_older_file_keeps_its_blocks(path: Path) -> None:
    """A file with other blocks is opened as it is."""
    with duckdb.connect() as made:
        made.execute(f"ATTACH {quoted(path)} AS other (STORAGE_VERSION 'v1.5.0')")
        made.execute("CREATE TABLE other.numbers AS FROM range(3)")
    with Database(path, Engine()) as opened:
        assert opened.run("SELECT count(*) FROM numbers").value == 3


def test_read_only_does_not_write(path: Path) -> None:
    """Neither can a statement write, nor is a missing file made."""
    with pytest.raises(StoreMissing):
        Database(path, Engine(), read_only=True)
    with Database(path, Engine()) as made:
        made.run("CREATE TABLE numbers (n INTEGER)")
    with (
        Database(path, Engine(), read_only=True) as reader,
        pytest.raises(duckdb.InvalidInputException),
    ):
        reader.run("INSERT INTO numbers VALUES (1)")


def test_reading_again_shows_what_was_written_since(path: Path) -> None:
    """Each has an instance of its own: none is shown an older state of the file."""
    with Database(path, Engine()) as made:
        made.run("CREATE TABLE numbers (n INTEGER)")
    with Database(path, Engine(), read_only=True) as before:
        copy = path.with_name("copy.duckdb")
        copy.write_bytes(path.read_bytes())
        with Database(copy, Engine()) as other:
            other.run("INSERT INTO numbers VALUES (1)")
        copy.replace(path)
        with Database(path, Engine(), read_only=True) as after:
            assert after.run("SELECT count(*) FROM numbers").value == 1
        assert before.run("SELECT count(*) FROM numbers").value == 0


def test_what_is_no_database_is_told(path: Path) -> None:
    """A file of something else is said to be damaged, with what to do."""
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 1_000)
    with pytest.raises(StoreCorrupt, match="state rebuild"):
        Database(path, Engine())


def test_times_are_in_utc(database: Database) -> None:
    """Wherever the machine stands."""
    assert database.run("SELECT make_timestamptz(0)::VARCHAR").value == "1970-01-01 00:00:00+00"


def test_the_engine_is_told_its_limits(tmp_path: Path) -> None:
    """Threads, memory, checkpoints and the place to spill are DuckDB's settings."""
    engine = Engine(threads=1, memory_bytes=100_000_000, spill=tmp_path / "spill")
    with Database(tmp_path / "x.duckdb", engine) as opened:
        assert opened.one(
            "SELECT current_setting('threads'), current_setting('temp_directory'),"
            " current_setting('autoinstall_known_extensions')"
        ) == (1, str(tmp_path / "spill"), False)
