"""Roles that run in threads of one process, and end together."""

from __future__ import annotations

import os
import signal
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Role:
    """A role in a thread; when it fails it takes the process with it.

    Args:
        name: of the thread.
        run: the role; ends soon after the function it is given says True.
    """

    def __init__(self, name: str, run: Callable[[Callable[[], bool]], object]) -> None:
        self._run = run
        self._stopping = Event()
        self._thread = Thread(target=self._guarded, name=name)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end gracefully."""
        self._stopping.set()

    def join(self) -> BaseException | None:
        """Wait for its end, if it was begun; give what it failed with, if it did."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self._error

    def _guarded(self) -> None:
        try:
            self._run(self._stopping.is_set)
        except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
            self._error = error
        if not self._stopping.is_set():
            os.kill(os.getpid(), signal.SIGTERM)


class Roles:
    """Several roles, started and ended together.

    Args:
        roles: all of them.
    """

    def __init__(self, *roles: Role) -> None:
        self._roles = roles

    def start(self) -> None:
        """Begin all."""
        for role in self._roles:
            role.start()

    def stop(self) -> None:
        """Ask all to end gracefully."""
        for role in self._roles:
            role.stop()

    def join(self) -> None:
        """Wait for the end of all.

        Raises:
            HeaplineError: what the first of them failed with, if any did.
        """
        self.stop()
        errors = [role.join() for role in self._roles]
        for error in errors:
            if error is not None:
                raise error
