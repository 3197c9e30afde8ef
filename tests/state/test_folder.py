from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import duckdb
import pytest

from state.errors import (
    DiskFull,
    StateUnwritable,
    StoreCorrupt,
    StoreLocked,
    StoreMissing,
    StoreTooNew,
    file_errors,
)
from state.folder import StateFolder, WriterLock, kept_from_writers, write_ahead_log
from state.migrations import LATEST, MIGRATIONS, applied, migrate
from state.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder that is not there yet."""
    return StateFolder(tmp_path / "deep" / "state")


def test_the_lock_holds_until_it_is_released(folder: StateFolder) -> None:
    """Nobody gets it twice, be it in one process; released, the next one does."""
    lock = WriterLock(folder)
    with pytest.raises(StoreLocked) as refused:
        WriterLock(folder)
    assert refused.value.holder == os.getpid()
    lock.release()
    lock.release()
    with WriterLock(folder), pytest.raises(StoreLocked):
        WriterLock(folder)
    WriterLock(folder).release()


def test_the_lock_ends_with_its_process(folder: StateFolder) -> None:
    """A writer that was killed leaves no lock behind."""
    folder.create()
    code = (
        "import os, sys; from pathlib import Path; from state.folder import *;"
        "WriterLock(StateFolder(Path(sys.argv[1]))); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=False)
    WriterLock(folder).release()


def test_a_writer_waits_for_those_who_read(folder: StateFolder) -> None:
    """Several may read what nobody writes; a writer that starts meanwhile comes after them."""
    WriterLock(folder).release()
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        with kept_from_writers(folder):
            reading.set()
            done.wait(30)

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(30)
    with kept_from_writers(folder):
        pass
    ending = threading.Timer(0.2, done.set)
    ending.start()
    with WriterLock(folder):
        assert done.is_set()
        with pytest.raises(StoreLocked), kept_from_writers(folder):
            pytest.fail("it reads beside a writer")
    reader.join()


def test_the_lock_tells_of_no_writer_that_is_done(folder: StateFolder) -> None:
    """The number of a process that let go, and may well live on, is not blamed for others."""
    with WriterLock(folder):
        assert folder.lock.read_text() == str(os.getpid())
    assert folder.lock.read_text() == ""


def test_programs_started_by_the_writer_do_not_keep_the_lock(folder: StateFolder) -> None:
    """A child that outlives the writer holds nothing."""
    lock = WriterLock(folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        WriterLock(folder).release()
        child.communicate(b"\n")


def test_opening_the_store_again_does_not_drop_the_lock(folder: StateFolder) -> None:
    """Closing another descriptor of the file drops DuckDB's lock, never ours."""
    with Store(folder, now_ms=1):
        folder.store.read_bytes()
        code = (
            "import sys; from pathlib import Path; from state.folder import *;"
            "from state.store import Store; Store(StateFolder(Path(sys.argv[1])), 1)"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(folder.path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "StoreLocked" in second.stderr


def test_the_log_stands_beside_its_file(tmp_path: Path) -> None:
    """DuckDB's own name for it."""
    assert write_ahead_log(tmp_path / "a.duckdb").name == "a.duckdb.wal"


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        (OSError(28, "No space left on device"), DiskFull),
        (OSError(27, "File too large"), DiskFull),
        (PermissionError(13, "Permission denied"), StateUnwritable),
        (OSError(30, "Read-only file system"), StateUnwritable),
        (NotADirectoryError(20, "Not a directory"), StateUnwritable),
        (duckdb.IOException("IO Error: Could not set lock on file"), StoreLocked),
        (duckdb.IOException("Cannot open database in read-only mode: database does not exist"),
         StoreMissing),
        (duckdb.IOException("Serialization Error: Failed to deserialize"), StoreCorrupt),
        (duckdb.FatalException("anything"), StoreCorrupt),
        (duckdb.IOException("created with a newer version: version number 99"), StoreTooNew),
    ],
)  # fmt: skip
def test_what_others_say_about_a_file_becomes_an_error_of_ours(
    tmp_path: Path, said: Exception, ours: type[Exception]
) -> None:
    """Each kind tells what to do, and keeps what was said as its cause."""
    with pytest.raises(ours) as raised, file_errors(tmp_path / "x"):
        raise said
    assert raised.value.__cause__ is said


def test_errors_about_a_statement_stay_what_they_are(tmp_path: Path) -> None:
    """A wrong statement is no damaged file."""
    with pytest.raises(duckdb.ParserException), file_errors(tmp_path / "x"):
        raise duckdb.ParserException("syntax error")


def test_steps_are_applied_once_and_in_order(folder: StateFolder) -> None:
    """A second start applies nothing; numbers have no holes."""
    assert [step.number for step in MIGRATIONS] == list(range(1, LATEST + 1))
    with Store(folder, now_ms=1) as store:
        assert applied(store.database) == LATEST
        assert migrate(store.database, 2) == []
        assert store.database.run("SELECT max(applied_at_ms) FROM stored.migration").value == 1


def test_a_file_of_a_newer_program_is_refused(folder: StateFolder) -> None:
    """It is not touched, and the error says which program to run."""
    with Store(folder, now_ms=1) as store:
        store.database.run("INSERT INTO stored.migration VALUES (?, 'later', 1)", [LATEST + 1])
    with pytest.raises(StoreTooNew, match="newer heapline"):
        Store(folder, now_ms=1)
    WriterLock(folder).release()


def test_a_holder_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    """Killed while it started a program, it leaves the lock to that one for a moment."""
    folder = StateFolder(tmp_path / "state")
    folder.create()
    left = os.open(folder.lock, os.O_RDWR | os.O_CREAT)
    os.write(left, b"999999999")  # no process has such a number
    fcntl.flock(left, fcntl.LOCK_EX)
    freed = threading.Timer(0.2, os.close, [left])
    freed.start()
    with WriterLock(folder):
        freed.join()
