"""The console's data in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.memberships import IndexUnavailable
from producers.connections import patched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.heap.connection import Connection
    from heapline.memberships import Memberships
    from heapline.words import SegmentId, Workspace
    from producers.connections import ConnectionPatch
    from web.console.data import EventCount


class FakeConsoleData:
    """See `web.console.data.ConsoleData`.

    Attributes:
        rows: the connections.
        counts: given for every workspace.
        view: the index, or None for none.
        drained: what was drained.
    """

    def __init__(self, *rows: Connection) -> None:
        self.rows: dict[Workspace, Connection] = {row.workspace: row for row in rows}
        self.counts: list[EventCount] = []
        self.view: Memberships | None = None
        self.drained: list[tuple[Workspace, SegmentId]] = []

    async def connections(self) -> dict[Workspace, Connection]:
        """See `ConsoleData.connections`."""
        return dict(self.rows)

    async def change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        """See `ConsoleData.change`."""
        self.rows[workspace] = patched(workspace, patch, self.rows.values(), now_ms=1)

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """See `ConsoleData.drain`."""
        self.drained.append((workspace, segment))
        return "p0.1"

    async def outcomes(self, workspace: Workspace) -> Sequence[EventCount]:
        """See `ConsoleData.outcomes`."""
        del workspace
        return self.counts

    def memberships(self) -> Memberships:
        """See `ConsoleData.memberships`."""
        if self.view is None:
            raise IndexUnavailable("there is no index: start `heapline materialize`")
        return self.view
