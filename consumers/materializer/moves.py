"""Workspaces that went over to another environment of Heap's, as `heap.connections` tells.

What their segments last heard, they heard of the environment that was left. Until the drain of it
is applied nobody can say who is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.kafka.connection_table import Connections


class Moves(Protocol):
    """Tells of moves."""

    @property
    def left_at_ms(self) -> Mapping[str, int]:
        """All that are known: for each workspace when it left its earlier environment."""
        ...

    def news(self) -> frozenset[str]:
        """Give the workspaces that moved, as far as that was not told before; never waits."""
        ...


class ConnectionMoves:
    """`Moves` of the connections.

    Args:
        connections: followed; polled by nobody else.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.left_at_ms: dict[str, int] = {}

    def news(self) -> frozenset[str]:
        """See `Moves.news`."""
        moved = set()
        for workspace in self._connections.poll():
            row = self._connections.table.get(workspace)
            at_ms = None if row is None else row.moved_at_ms
            if at_ms is not None and self.left_at_ms.get(workspace) != at_ms:
                self.left_at_ms[workspace] = at_ms
                moved.add(str(workspace))
        return frozenset(moved)


class NoMoves:
    """`Moves` where nobody looks yet, or nobody ever moved."""

    def __init__(self) -> None:
        self.left_at_ms: dict[str, int] = {}

    def news(self) -> frozenset[str]:
        """See `Moves.news`."""
        return frozenset()
