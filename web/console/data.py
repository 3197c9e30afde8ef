"""What the console shows and changes, behind one seam."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heapline.clock import Clock, SystemClock
from heapline.errors import NotReady
from heapline.kafka.registry import Registry
from producers.connections import ConnectionPatch, ConnectionRegistry
from producers.drains import drain_segments
from state.database import Database, Engine
from state.folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.heap.connection import Connection
    from heapline.memberships import Memberships
    from heapline.settings import Settings
    from heapline.words import SegmentId, Workspace
    from web.open_index import OpenIndex

DAY_SQL = """
SELECT event, outcome, coalesce(reason, ''), sum(records), strftime(max(minute), '%Y-%m-%d %H:%M')
FROM outcome WHERE workspace = ? AND minute >= now() - INTERVAL 1 DAY
GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class EventCount:
    """What became of a workspace's records of one name within the last day.

    Attributes:
        last_at: when the latest was settled, as text.
    """

    event: str
    outcome: str
    reason: str
    records: int
    last_at: str


class ConsoleData(Protocol):
    """Everything the pages need."""

    async def connections(self) -> dict[Workspace, Connection]:
        """Give every workspace's connection.

        Raises:
            TryAgainLater, NotReady: they cannot be read.
        """
        ...

    async def change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        """Change what is named of a connection.

        Raises:
            CallerMistake: it may not be.
        """
        ...

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """Let everybody leave a segment; give the position at which it is done."""
        ...

    async def outcomes(self, workspace: Workspace) -> Sequence[EventCount]:
        """Give what became of the workspace's records within the last day.

        Raises:
            NotReady: this machine keeps no store.
        """
        ...

    def memberships(self) -> Memberships:
        """Give the newest generation of the index.

        Raises:
            IndexUnavailable: there is none.
        """
        ...


class KafkaConsoleData:
    """The real thing; see `ConsoleData`.

    Args:
        settings: everything.
        index: the membership index.
        clock: for new versions.
    """

    def __init__(self, settings: Settings, index: OpenIndex, clock: Clock | None = None) -> None:
        self._settings = settings
        self._index = index
        self._clock = clock or SystemClock()

    async def connections(self) -> dict[Workspace, Connection]:
        """See `ConsoleData.connections`."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[Workspace, Connection]:
        with Registry(self._settings.schema_registry) as schemas:
            return dict(ConnectionRegistry(self._settings.kafka, schemas).read().rows)

    async def change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        """See `ConsoleData.change`."""
        await asyncio.to_thread(self._change, workspace, patch)

    def _change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        with Registry(self._settings.schema_registry) as schemas:
            ConnectionRegistry(self._settings.kafka, schemas).set(workspace, patch)

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """See `ConsoleData.drain`."""
        now_ms = self._clock.epoch_ms()
        positions = await asyncio.to_thread(
            drain_segments, self._settings, workspace, [segment], now_ms
        )
        return str(positions[0])

    async def outcomes(self, workspace: Workspace) -> Sequence[EventCount]:
        """See `ConsoleData.outcomes`."""
        return await asyncio.to_thread(self._outcomes, workspace)

    def _outcomes(self, workspace: Workspace) -> list[EventCount]:
        replica = StateFolder(self._settings.state.directory).analyst
        if not replica.exists():
            raise NotReady("counts appear once `heapline materialize` runs on this machine")
        with Database(replica, Engine(threads=1), read_only=True) as database:
            rows = database.run(DAY_SQL, [workspace]).rows
        return [EventCount(n, o, r, int(c), f"{at} UTC") for n, o, r, c, at in rows]

    def memberships(self) -> Memberships:
        """See `ConsoleData.memberships`."""
        return self._index.answers().view
