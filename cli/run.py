"""`heapline run`: all roles in one process."""

from __future__ import annotations

import os
import signal
from threading import Event, Thread
from typing import TYPE_CHECKING

from cli.serve import application, possible
from consumers.forwarder.run import forward
from heapline.settings import load_settings
from heapline.telemetry.logs import configure_logs
from web.app import PARTS
from web.server import address_of, listen
from web.server import run as run_server

if TYPE_CHECKING:
    from heapline.settings import Settings


class Role:
    """A role that runs in a thread beside the server, and takes the process with it when it fails.

    Args:
        settings: for the role.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="forwarder")
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end gracefully."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for its end.

        Raises:
            HeaplineError: what it failed with, if it did.
        """
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            forward(self._settings, self._stopping.is_set)
        except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
            self._error = error
        if not self._stopping.is_set():
            os.kill(os.getpid(), signal.SIGTERM)


def run() -> None:
    """Take events over HTTP and deliver them to Heap, in one process.

    The same as `heapline serve` and `heapline forward` side by side, for small installations.
    SIGTERM or Ctrl-C ends both gracefully.
    """
    settings = load_settings()
    configure_logs(settings.log)
    forwarder = Role(settings)
    with listen(settings.web) as listening:
        parts = possible(PARTS, settings)
        print(
            f"heapline runs, and serves {', '.join(parts)} on {address_of(listening)}", flush=True
        )
        app = application(settings, settings.web, parts)
        forwarder.start()
        try:
            run_server(app, listening, on_stopping=forwarder.stop)
        finally:
            forwarder.join()
