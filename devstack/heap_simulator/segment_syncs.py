"""Syncs of the simulated Heap: begun when asked for or when due, sent by threads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from devstack.heap_simulator.segment_model import NotTurnedOn, Outgoing, SyncOptions, outgoing
from devstack.heap_simulator.segment_sender import SegmentSender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from devstack.heap_simulator.segment_model import Segment
    from devstack.heap_simulator.segment_sender import SendReport
    from devstack.heap_simulator.world import SimulatedHeap

LOOK_SECONDS = 0.05
"""How often is looked for recurring syncs that are due."""


class SegmentSyncs:
    """Begins syncs and has them sent. Pages nobody took are kept with the segment's late ones."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap
        self._sender = SegmentSender(heap.clock)
        self._under_way: set[asyncio.Task[SendReport]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send recurring syncs when they are due."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            await asyncio.to_thread(self._sender.close)
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def sync(self, segment: Segment, options: SyncOptions) -> SendReport:
        """Tell the partner what changed since the last sync.

        Raises:
            NotTurnedOn: the customer has not allowed it.
        """
        id_token = self._allowed(segment)
        pages = segment.begin_sync(options, id_token, self._heap.oauth.new_id())
        return await self._send(segment, outgoing(pages, options), options)

    async def drain(self, segment: Segment, options: SyncOptions) -> SendReport:
        """Tell the partner that everybody is out.

        Raises:
            NotTurnedOn: as above.
        """
        pages = segment.begin_drain(options, self._allowed(segment))
        return await self._send(segment, outgoing(pages, options), options)

    async def send_late(self, segment: Segment, options: SyncOptions) -> SendReport:
        """Send what was kept back, oldest first."""
        pages, segment.late = segment.late, []
        return await self._send(segment, Outgoing(tuple(pages)), options)

    def _allowed(self, segment: Segment) -> str:
        grant = self._heap.oauth.grants.get(segment.env_id)
        if grant is None:
            raise NotTurnedOn(
                f"nobody has allowed the partner app for environment {segment.env_id}: connect "
                "through the authorize page, or POST /_sim/grants"
            )
        if not segment.settings.enabled:
            raise NotTurnedOn(f"the toggle of segment {segment.segment_id} is off")
        return grant.id_token

    async def _send(self, segment: Segment, pages: Outgoing, options: SyncOptions) -> SendReport:
        segment.late.extend(pages.late)
        app = self._heap.oauth.app
        secret = options.webhook_secret or app.webhook_secret
        report = await asyncio.to_thread(
            self._sender.send, pages.now, app.webhook_url, secret, options
        )
        segment.late.extend(report.undelivered)
        return report

    async def _look(self) -> None:
        while True:
            for segment in self._heap.segments.due(self._heap.schedule_now()):
                with suppress(NotTurnedOn):
                    self._allowed(segment)
                    task = asyncio.create_task(self.sync(segment, SyncOptions()))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(LOOK_SECONDS)
