"""What the machine tells about a process: from /proc on Linux, from `ps` elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

_HAS_PROC: Final[bool] = sys.platform.startswith("linux")
_BECOMING_SECONDS: Final = 2.0
"""While a process becomes another program (execve), Linux shows no command line: a moment, longer
where the machine is busy. Threads of the kernel never have one."""
_LOOK_SECONDS: Final = 0.001


def command_line(pid: int) -> str:
    """Give a process's command line; empty when there is no such process, or only its remains."""
    if not _HAS_PROC:
        return _ps(pid, "command")
    deadline = time.monotonic() + _BECOMING_SECONDS
    while not (text := _proc(pid, "cmdline")) and _lives(pid) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return text.replace("\0", " ")


def _lives(pid: int) -> bool:
    """Tell whether there is such a process on Linux, and more than its remains."""
    status = _proc(pid, "status")
    return "\nState:\t" in status and "\nState:\tZ" not in status


def is_stopped(pid: int) -> bool:
    """Tell whether the process is stopped by a signal (SIGSTOP)."""
    if _HAS_PROC:
        return "\nState:\tT" in _proc(pid, "status")
    return _ps(pid, "stat").startswith("T")


def memory_bytes(pid: int) -> int:
    """Give the resident memory; 0 when there is no such process."""
    if _HAS_PROC:
        lines = _proc(pid, "status").splitlines()
        found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    else:
        found = _ps(pid, "rss") or "0"
    return int(found) * 1024


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _ps(pid: int, column: str) -> str:
    asked = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
