"""One server process that outlives whoever started it.

A small shell writes the process id down and then becomes the server, so there is no moment in which
a server runs that nobody knows of. A process id alone proves nothing, since ids are used again: a
process counts as ours only if its command line names our folder.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from devstack.process_table import command_line, is_stopped, memory_bytes
from heapline.clock import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from heapline.clock import Clock

_SCRIPT: Final = 'cd "$1" && echo $$ > pid.new && mv pid.new pid && shift && exec "$@"'
_POLL_SECONDS: Final = 0.02
_LOG_LIMIT_BYTES: Final = 8 * 1024 * 1024
_SPAWNED: Final[set[int]] = set()
"""Children of this process that nobody else waits for."""


class ServerProcess:
    """A detached process with a folder of its own: `pid`, `server.log`, and its data.

    Attributes:
        folder: absolute; the process's command line must contain it.
        log: standard output and error of the process.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self._pid_file = self.folder / "pid"
        self._clock = clock

    def pid(self) -> int | None:
        """Give the id of the running process, or None."""
        try:
            pid = int(self._pid_file.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        _reap(pid)
        return pid if str(self.folder) in command_line(pid) else None

    def spawn(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process in a session of its own; it inherits no open file but its log.

        Args:
            arguments: the command; the folder must be named in it.
            environment: all of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._roll_log()
        child = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _SCRIPT, "heapline-dev", str(self.folder), *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        _SPAWNED.add(child)
        try:
            while child in _SPAWNED and self.pid() != child:
                _reap(child)
                self._clock.sleep(_POLL_SECONDS)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; tell whether there was a process to hear it."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_until_gone(self, seconds: float) -> bool:
        """Wait for the process to end; tell whether it has."""
        deadline = Deadline(self._clock, seconds)
        while self.pid() is not None:
            if deadline.passed():
                return False
            self._clock.sleep(_POLL_SECONDS)
        return True

    def is_paused(self) -> bool:
        """Tell whether the process is stopped by a signal."""
        pid = self.pid()
        return pid is not None and is_stopped(pid)

    def memory_bytes(self) -> int:
        """Give the resident memory, or 0 when it does not run."""
        pid = self.pid()
        return 0 if pid is None else memory_bytes(pid)

    def _roll_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))


def _reap(pid: int) -> None:
    """Bury the process if it is one of ours and has ended; others may be waited for elsewhere."""
    if pid not in _SPAWNED:
        return
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        ended = pid
    if ended:
        _SPAWNED.discard(pid)
