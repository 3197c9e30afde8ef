"""A simulator in a thread of this process, for tests and benchmarks."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from devstack.heap_simulator.client import SimulatorClient
from devstack.heap_simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator.world import SimulatorSettings
    from heapline.clock import Clock


@contextmanager
def running_simulator(
    settings: SimulatorSettings | None = None, *, port: int = 0, clock: Clock | None = None
) -> Iterator[SimulatorClient]:
    """A simulator on a free port of the loopback interface, and a client of it.

    The client's `url` is what `HEAPLINE_HEAP__API_URL` takes. At the end all connections are
    closed, also those that hang. Raises `OSError` if a named port cannot be had.
    """
    simulator = _ThreadedSimulator(SimulatorServer(settings, port=port, clock=clock))
    url = simulator.start()
    try:
        yield SimulatorClient(url)
    finally:
        simulator.stop()


class _ThreadedSimulator:
    def __init__(self, server: SimulatorServer) -> None:
        self._server = server
        self._outcome: SimpleQueue[OSError | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="heap-simulator", daemon=True)

    def start(self) -> str:
        """The URL, once it listens; raises `OSError` if the port cannot be had."""
        self._thread.start()
        if failure := self._outcome.get():
            raise failure
        return self._server.url

    def stop(self) -> None:
        """Close all connections and end the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as failure:
            self._outcome.put(failure)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with self._server:
            self._outcome.put(None)
            await self._stopping.wait()
