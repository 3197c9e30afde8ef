"""Readings a process takes of itself: time, processor time, memory."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment of a process.

    Attributes:
        monotonic: seconds, comparable between processes of one machine.
        cpu_seconds: user and system time of all the process's threads so far.
    """

    monotonic: float
    cpu_seconds: float

    @classmethod
    def now(cls) -> Reading:
        """Take one."""
        return cls(time.monotonic(), time.process_time())


def resident_bytes() -> int:
    """Give how much memory this process holds now."""
    return _status("VmRSS") or _most_resident()


def peak_resident_bytes() -> int:
    """Give the most memory this process held so far.

    On Linux this is the mark of this program alone: `getrusage` would carry over what the process
    held before it became this program.
    """
    return _status("VmHWM") or _most_resident()


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = (int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    return next(found, 0)


def _most_resident() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
