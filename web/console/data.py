"""What the console shows and changes, behind one seam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from heapline.heap.connection import Connection
    from heapline.heap.segment_record import HeapSegment
    from heapline.memberships import Memberships
    from heapline.words import SegmentId, Workspace
    from operations.dlq import Content, Entry, Filter, Position
    from operations.dlq_replay import Replayed
    from operations.status import Status
    from producers.connections import ConnectionPatch
    from web.console.looks import Look


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


@dataclass(frozen=True, slots=True)
class Change:
    """What one page of Heap's did to a segment.

    Attributes:
        at_ms: when the page was accepted, milliseconds since 1970-01-01 UTC.
        net: members more than before.
    """

    at_ms: int
    net: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead-lettered record in full; personal data.

    Attributes:
        event: what could be decoded of it.
        not_decoded_because: why nothing could; empty where it was.
    """

    content: Content
    event: Mapping[str, Any] | None
    not_decoded_because: str = ""


class ConsoleData(Protocol):
    """Everything the pages need. What takes long comes as a `Look`, and never keeps a page."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Be ready to answer until the block ends."""
        ...

    async def connections(self) -> Mapping[Workspace, Connection]:
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

    async def try_now(self, workspace: Workspace) -> None:
        """Let the forwarder try a paused workspace at once; raises as `change`."""
        ...

    async def invite(self, workspace: Workspace) -> str:
        """Give a one-time link that leads through Heap's own page and connects a workspace.

        Raises:
            InvalidSetting: this installation is not registered with Heap.
            CallerMistake: there can be no such workspace.
        """
        ...

    async def disconnect(self, workspace: Workspace) -> Sequence[SegmentId]:
        """Remove a connection and empty its segments; give which.

        Raises:
            CallerMistake: there is nothing to remove.
        """
        ...

    async def drain(self, workspace: Workspace, segment: SegmentId) -> str:
        """Let everybody leave a segment; give the position at which it is done."""
        ...

    async def outcomes(self, workspace: Workspace) -> Look[Sequence[EventCount]]:
        """Look at what became of the workspace's records within the last day."""
        ...

    async def history(self, workspace: Workspace, segment: SegmentId) -> Look[Sequence[Change]]:
        """Look at how a segment's members changed within the last 30 days, the oldest first."""
        ...

    async def latest_users(self, workspace: Workspace) -> Look[Sequence[str]]:
        """Look at user ids of the workspace's latest events."""
        ...

    async def segments(self, workspace: Workspace) -> Look[Sequence[HeapSegment]]:
        """Look at what came from Heap, page by page."""
        ...

    async def delivery(self) -> Look[Status]:
        """Look at how the forwarders are."""
        ...

    async def dead_letters(self, workspace: Workspace) -> Look[Sequence[Entry]]:
        """Look at a workspace's dead letters that were not sent again, the newest first."""
        ...

    async def dead_letter(self, position: Position) -> Look[Letter]:
        """Look at one of them in full."""
        ...

    async def replay(self, wanted: Filter, *, force: bool) -> Replayed:
        """Send dead letters again; raises as `operations.dlq_replay.replay_dlq`."""
        ...

    def memberships(self) -> Memberships:
        """Give the newest generation of the index.

        Raises:
            IndexUnavailable: there is none.
        """
        ...
