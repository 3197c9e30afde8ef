"""heapline itself as a process beside the world: a demo's, which may be left running."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson

from devstack.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heapline.clock import Clock

NAME: Final = "heapline"
"""Its folder within a world's."""
_STOP_SECONDS: Final = 30.0
_RUN: Final = ("-c", "from cli.main import main; main()", "run")
_SETTINGS: Final = "settings.json"


class HeaplineProcess:
    """`heapline run` with settings of its own.

    Args:
        folder: where it works and logs.
        clock: for waiting.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._process = ServerProcess(folder, clock)
        self.folder = self._process.folder
        self.log = self._process.log

    def start(self, environment: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """Start it, and write its settings down for `settings`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _SETTINGS).write_bytes(orjson.dumps(dict(settings)))
        # A process is known by the folder in its command line (see `devstack.process`).
        command = [sys.executable, "-X", f"heapline={self.folder}", *_RUN]
        self._process.spawn(command, {**environment, **settings})

    def settings(self) -> dict[str, str] | None:
        """Give its settings by environment variable; None while it does not run."""
        if not self.is_running():
            return None
        try:
            found: Any = orjson.loads((self.folder / _SETTINGS).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return {str(name): str(value) for name, value in found.items()}

    def is_running(self) -> bool:
        """Tell whether it does."""
        return self._process.pid() is not None

    def stop(self) -> bool:
        """End it in good order, or by force when that takes too long; tell whether it ran."""
        if not self._process.signal(signal.SIGTERM):
            return False
        if not self._process.wait_until_gone(_STOP_SECONDS):
            self._process.signal(signal.SIGKILL)
            self._process.wait_until_gone(_STOP_SECONDS)
        return True
