"""Asking a forwarder to try a paused workspace at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from heapline.errors import CallerMistake
from producers.connections import next_version

if TYPE_CHECKING:
    from heapline.heap.connection import Connection
    from heapline.words import Workspace
    from producers.connections import Decision


class Changeable(Protocol):
    """The connections, as far as they are asked for here; see `producers.connections`."""

    def change(self, workspace: Workspace, decide: Decision) -> Connection:
        """Write a workspace's next version as decided from all rows there are."""
        ...


def try_now(connections: Changeable, workspace: Workspace) -> Connection:
    """Write a workspace's connection anew as it is: its forwarder tries a changed one at once.

    Raises:
        CallerMistake: there is no such connection.
        TryAgainLater, NotReady: nothing was written.
    """

    def same_again(rows: tuple[Connection, ...], now_ms: int) -> Connection:
        found = next((row for row in rows if row.workspace == workspace), None)
        if found is None:
            raise CallerMistake(f"there is no connection of {workspace}")
        return next_version(found, found, rows, now_ms)

    return connections.change(workspace, same_again)
