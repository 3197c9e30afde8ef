"""Disconnecting a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heapline.errors import CallerMistake

if TYPE_CHECKING:
    from heapline.heap.connection import Connection
    from heapline.words import SegmentId, Workspace
    from operations.draining import Drain


class Removable(Protocol):
    """The connections, as far as they are asked for here; see `producers.connections`."""

    def list(self) -> tuple[Connection, ...]:
        """Give every connection."""
        ...

    def remove(self, workspace: Workspace) -> None:
        """Remove a workspace's connection."""
        ...


@dataclass(frozen=True, slots=True)
class Offboarded:
    """What was done.

    Attributes:
        removed: whether there was a connection, and is none now.
        drained: the segments that are being emptied.
    """

    removed: bool
    drained: tuple[SegmentId, ...]


def offboarded(
    workspace: Workspace,
    connections: Removable,
    drain: Drain,
    *,
    keep_segments: bool = False,
    keep_connection: bool = False,
) -> Offboarded:
    """Disconnect a workspace; the connection first, so that no page comes after the drains.

    Raises:
        CallerMistake: there is neither a connection nor a segment to empty.
        TryAgainLater, NotReady: not all is done; the same again goes on.
    """
    known = workspace in {row.workspace for row in connections.list()}
    removed = known and not keep_connection
    if removed:
        connections.remove(workspace)
    drained = () if keep_segments else drain.drain(workspace)
    if not known and not drained:
        raise CallerMistake(
            f"there is no connection of {workspace}, and no segment with anybody in it: see "
            "`heapline connections list`"
        )
    return Offboarded(removed, drained)
