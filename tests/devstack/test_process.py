"""Server processes outlive their starter and are never mistaken for others."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.process import ServerProcess
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLEEP = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    """Give a process that is not started yet, and end it afterwards."""
    made = ServerProcess(tmp_path / "a server", SystemClock())
    yield made
    made.signal(signal.SIGKILL)
    assert made.wait_until_gone(5)


def _spawn(process: ServerProcess, code: str = _SLEEP) -> int:
    process.spawn([sys.executable, "-c", code, str(process.folder)], dict(os.environ))
    pid = process.pid()
    assert pid is not None
    return pid


def test_it_runs_apart(process: ServerProcess) -> None:
    """It has a session and folder of its own, writes to its log, and takes memory."""
    pid = _spawn(process)
    deadline = time.monotonic() + 60
    while process.log.read_text() != "up\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == process.folder
    assert process.memory_bytes() > 1_000_000


def test_another_handle_sees_and_ends_it(process: ServerProcess) -> None:
    """Whoever knows the folder can see and end it, as another process would."""
    pid = _spawn(process)
    other = ServerProcess(process.folder, SystemClock())
    assert other.pid() == pid
    assert other.signal(signal.SIGKILL)
    assert other.wait_until_gone(5)
    assert process.pid() is None
    assert not process.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", str(os.getpid()), "999999999"],
    ids=["empty", "rubbish", "another", "gone"],
)
def test_a_stale_id_is_nobody(process: ServerProcess, text: str) -> None:
    """An id that is senseless, gone, or another process's by now is no server."""
    process.folder.mkdir()
    (process.folder / "pid").write_text(text)
    assert process.pid() is None
    assert not process.signal(signal.SIGKILL)


def test_one_that_cannot_start_is_gone(process: ServerProcess) -> None:
    """A program that does not exist leaves no process, and the reason in the log."""
    process.spawn(["/no/such/program", str(process.folder)], {})
    assert process.wait_until_gone(5)
    assert "/no/such/program" in process.log.read_text()


def test_it_can_be_paused(process: ServerProcess) -> None:
    """A stopped process is seen as paused until it goes on."""
    _spawn(process)
    process.signal(signal.SIGSTOP)
    _wait_for(process, paused=True)
    process.signal(signal.SIGCONT)
    _wait_for(process, paused=False)


def test_a_long_log_is_rolled(process: ServerProcess) -> None:
    """A log beyond 8 MB is put aside once at the next start."""
    process.folder.mkdir()
    process.log.write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    _spawn(process)
    assert process.log.stat().st_size < 100
    assert process.log.with_suffix(".log.1").stat().st_size > 8 * 1024 * 1024


def _wait_for(process: ServerProcess, *, paused: bool) -> None:
    deadline = time.monotonic() + 60
    while process.is_paused() is not paused:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_is_never_lost_sight_of_while_it_becomes_another_program(
    process: ServerProcess, tmp_path: Path
) -> None:
    """Between two programs Linux shows no command line for a moment: it runs all the same."""
    again = tmp_path / "again.sh"
    again.write_text(
        '[ "$3" -gt 0 ] || exec "$2" -c "$4" "$1"\nexec sh "$0" "$1" "$2" $(($3-1)) "$4"\n'
    )
    code = _SLEEP.replace("up", "done")
    arguments = ["sh", str(again), str(process.folder), sys.executable, "300", code]
    process.spawn(arguments, dict(os.environ))
    deadline = time.monotonic() + 60
    lost = 0
    while process.log.read_text() != "done\n":
        lost += process.pid() is None
        assert time.monotonic() < deadline
    assert lost == 0
