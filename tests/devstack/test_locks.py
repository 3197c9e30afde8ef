"""Locks hold between processes and die with their holder."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from devstack.locks import locked
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

_HOLD = """
import sys, time
from pathlib import Path
from devstack.locks import locked
from heapline.clock import SystemClock

with locked(Path(sys.argv[1]), SystemClock(), wait_seconds=1):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_holds_no_longer(tmp_path: Path) -> None:
    """While another process lives its lock is respected, and the waiter told; then it is free."""
    lock, told = tmp_path / "lock", list[str]()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = locked(
            lock, SystemClock(), wait_seconds=0.2, on_wait=lambda: told.append("waiting")
        )
        with pytest.raises(TimeoutError), waiting:
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(120)
    assert told == ["waiting"]
    with locked(lock, SystemClock(), wait_seconds=0.2):
        pass


def test_a_deleted_lock_is_no_lock(tmp_path: Path) -> None:
    """Two holders never get in by holding a deleted file and its successor."""
    lock = tmp_path / "lock"
    with locked(lock, SystemClock(), wait_seconds=0.2):
        lock.unlink()
    with locked(lock, SystemClock(), wait_seconds=0.2):
        assert lock.exists()
        with pytest.raises(TimeoutError), locked(lock, SystemClock(), wait_seconds=0.2):
            pass
