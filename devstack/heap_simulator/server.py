"""The listening server: accepts connections and ends them in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from devstack.heap_simulator.control_endpoints import ControlEndpoints
from devstack.heap_simulator.deletion_endpoints import DeletionEndpoints
from devstack.heap_simulator.http_connection import ConnectionLimits, HttpConnection
from devstack.heap_simulator.oauth_endpoints import OAuthEndpoints
from devstack.heap_simulator.router import Router
from devstack.heap_simulator.segment_endpoints import SegmentEndpoints
from devstack.heap_simulator.segment_syncs import SegmentSyncs
from devstack.heap_simulator.track_endpoint import TrackEndpoint
from devstack.heap_simulator.world import SimulatedHeap, SimulatorSettings
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from types import TracebackType

    from heapline.clock import Clock

BACKLOG = 1024


class SimulatorServer:
    """Heap on one port; an async context manager that listens while it is entered.

    Attributes:
        heap: the state, for those in the same process.
        port: the port that is listened on, once entered.
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or SimulatorSettings()
        self.host = host
        self.port = port
        self.heap = SimulatedHeap(settings, clock or SystemClock())
        self._limits = ConnectionLimits(settings.max_body_bytes, settings.keep_alive_seconds)
        self._syncs = SegmentSyncs(self.heap)
        self._router = _router(self.heap, self._syncs)
        self._running = AsyncExitStack()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients reach it, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]
        await self._running.enter_async_context(self._syncs.running())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and close all connections, also those that hang."""
        self._server.close()
        await self._running.aclose()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn
        await self._server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = HttpConnection(reader, writer, self._router, self._limits)
        task = asyncio.get_running_loop().create_task(connection.serve())
        self._connections.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Said at once and not when the task is collected: it is a mistake in the simulator.
            context = {"message": "a connection of the Heap simulator broke", "exception": error}
            task.get_loop().call_exception_handler(context)


def _router(heap: SimulatedHeap, syncs: SegmentSyncs) -> Router:
    router = Router()
    router.add("POST", "/api/track", TrackEndpoint(heap))
    OAuthEndpoints(heap).add_to(router)
    DeletionEndpoints(heap).add_to(router)
    ControlEndpoints(heap).add_to(router)
    SegmentEndpoints(heap, syncs).add_to(router)
    return router
