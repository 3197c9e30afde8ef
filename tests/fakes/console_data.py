"""The console's data in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from heapline.errors import CallerMistake
from heapline.memberships import IndexUnavailable
from operations.dlq_replay import Replayed, to_replay
from operations.status import Status
from producers.connections import patched
from web.console.looks import Look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from heapline.heap.connection import Connection
    from heapline.heap.segment_record import HeapSegment
    from heapline.memberships import Memberships
    from heapline.words import SegmentId, Workspace
    from operations.dlq import Entry, Filter, Position
    from producers.connections import ConnectionPatch
    from web.console.data import Change, EventCount, Letter

_T = TypeVar("_T")


class FakeConsoleData:
    """See `web.console.data.ConsoleData`.

    Attributes:
        rows: the connections.
        counts, changes, users, news: given for every workspace.
        status: of the forwarders.
        letters: the dead letters in full.
        pending: whether nothing that takes long is known yet.
        missing: why it is not known; empty where it is.
        view: the index, or None for none.
        drained, tried, replayed: what was asked for.
    """

    def __init__(self, *rows: Connection) -> None:
        self.rows: dict[Workspace, Connection] = {row.workspace: row for row in rows}
        self.counts: list[EventCount] = []
        self.changes: list[Change] = []
        self.users: list[str] = []
        self.news: list[HeapSegment] = []
        self.status = Status(at_ms=0)
        self.letters: list[Letter] = []
        self.pending = False
        self.missing = ""
        self.view: Memberships | None = None
        self.drained: list[tuple[Workspace, SegmentId]] = []
        self.tried: list[Workspace] = []
        self.replayed: list[tuple[Filter, bool]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """See `ConsoleData.running`."""
        yield

    async def connections(self) -> dict[Workspace, Connection]:
        """See `ConsoleData.connections`."""
        return dict(self.rows)

    async def change(self, workspace: Workspace, patch: ConnectionPatch) -> None:
        """See `ConsoleData.change`."""
        self.rows[workspace] = patched(workspace, patch, self.rows.values(), now_ms=1)

    async def try_now(self, workspace: Workspace) -> None:
        """See `ConsoleData.try_now`."""
        self.tried.append(workspace)

    async def invite(self, workspace: Workspace) -> str:
        """See `ConsoleData.invite`."""
        return f"https://heapline.example/heap/connect?invitation={workspace}"

    async def disconnect(self, workspace: Workspace) -> Sequence[SegmentId]:
        """See `ConsoleData.disconnect`."""
        if self.rows.pop(workspace, None) is None:
            raise CallerMistake(f"there is no connection of {workspace}")
        return ()

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """See `ConsoleData.drain`."""
        self.drained.append((workspace, segment))
        return "p0.1"

    async def outcomes(self, workspace: Workspace) -> Look[Sequence[EventCount]]:
        """See `ConsoleData.outcomes`."""
        del workspace
        return self._look(self.counts)

    async def history(self, workspace: Workspace, segment: SegmentId) -> Look[Sequence[Change]]:
        """See `ConsoleData.history`."""
        del workspace, segment
        return self._look(self.changes)

    async def latest_users(self, workspace: Workspace) -> Look[Sequence[str]]:
        """See `ConsoleData.latest_users`."""
        del workspace
        return self._look(self.users)

    async def segments(self, workspace: Workspace) -> Look[Sequence[HeapSegment]]:
        """See `ConsoleData.segments`."""
        return self._look([each for each in self.news if each.workspace == workspace])

    async def delivery(self) -> Look[Status]:
        """See `ConsoleData.delivery`."""
        return self._look(self.status)

    async def dead_letters(self, workspace: Workspace) -> Look[Sequence[Entry]]:
        """See `ConsoleData.dead_letters`."""
        entries = [each.content.entry for each in self.letters]
        return self._look([each for each in entries if each.workspace == workspace])

    async def dead_letter(self, position: Position) -> Look[Letter]:
        """See `ConsoleData.dead_letter`."""
        found = [each for each in self.letters if each.content.entry.position == position]
        return self._look(found[0]) if found else Look(missing=f"there is no record at {position}")

    async def replay(self, wanted: Filter, *, force: bool) -> Replayed:
        """See `ConsoleData.replay`."""
        self.replayed.append((wanted, force))
        entries = [each.content.entry for each in self.letters]
        chosen, set_aside = to_replay(filter(wanted.wants, entries), force=force)
        return Replayed(len(chosen), set_aside)

    def memberships(self) -> Memberships:
        """See `ConsoleData.memberships`."""
        if self.view is None:
            raise IndexUnavailable("there is no index: start `heapline materialize`")
        return self.view

    def _look(self, value: _T) -> Look[_T]:
        return Look(None if self.pending or self.missing else value, self.missing)
