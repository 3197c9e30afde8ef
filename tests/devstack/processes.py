"""Looking at the machine from outside, for tests of what runs and what does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def processes_of(folder: Path) -> list[int]:
    """List the processes whose command line names a folder."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [each.pid for each in found if str(folder) in " ".join(each.info["cmdline"] or [])]


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
