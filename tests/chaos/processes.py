"""Processes that are killed with kill -9 and started again, and what they said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
HEAPLINE: Final = (sys.executable, "-c", "from cli.main import main; main()")
_TAIL: Final = 3_000
_LISTENS_SECONDS: Final = 120.0


def wait_until_it_listens(process: subprocess.Popen[Any]) -> None:
    """Wait until a process has a handler for SIGTERM, or has ended: sooner it would just die."""
    deadline = time.monotonic() + _LISTENS_SECONDS
    while process.poll() is None and not _listens(process.pid):
        assert time.monotonic() < deadline, "it does not listen to SIGTERM"
        time.sleep(0.02)


def _listens(number: int) -> bool:
    """Ask Linux which signals a process catches: a mask in hex, the lowest bit of signal 1."""
    try:
        status = Path(f"/proc/{number}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


class Mortal:
    """One process after another with the same command line.

    Args:
        name: for messages, and of its log.
        command: the command line.
        environment: what it sees, besides this process's own without heapline's settings.
        folder: where its log is kept.

    Attributes:
        deaths: how often it was killed.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.deaths = 0
        self._command = list(command)
        kept = {key: each for key, each in os.environ.items() if not key.startswith("HEAPLINE_")}
        self._environment = {**kept, "PYTHONPATH": str(ROOT), **environment}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self) -> None:
        """End it with kill -9; it must have been running."""
        self.check()
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.deaths += 1

    def check(self) -> None:
        """Assert that it runs."""
        assert self._process is not None, f"{self.name} was never started"
        code = self._process.poll()
        assert code is None, f"{self.name} ended by itself with {code}:\n{self.said()}"

    def stop(self) -> None:
        """Ask it to end, and assert that it does so well."""
        assert self._process is not None
        wait_until_it_listens(self._process)
        self.check()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        assert code == 0, f"{self.name} ended with {code}:\n{self.said()}"

    def end(self) -> None:
        """See that it is gone, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """Give the end of its log."""
        return self._log.read_text(errors="replace")[-_TAIL:] if self._log.exists() else ""
