"""Connections that a test changes by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.kafka.connection_table import ConnectionTable

if TYPE_CHECKING:
    from heapline.heap.connection import Connection
    from heapline.words import Workspace


class FakeConnections:
    """`heapline.kafka.connection_table.Connections` without Kafka.

    What `put` and `remove` do becomes visible with the next `poll`, and nothing before `ready`.
    """

    def __init__(self, *rows: Connection, ready: bool = True) -> None:
        self.table = ConnectionTable()
        self.ready = False
        self.waiting_for: str | None = "the connections to be read"
        self.is_closed = False
        self._coming: dict[Workspace, Connection | None] = {row.workspace: row for row in rows}
        if ready:
            self.become_ready()
            self.poll()

    def become_ready(self) -> None:
        """Let the next poll show what there is."""
        self.waiting_for = None

    def put(self, connection: Connection) -> None:
        """Change or add a row."""
        self._coming[connection.workspace] = connection

    def remove(self, workspace: Workspace) -> None:
        """Write a tombstone."""
        self._coming[workspace] = None

    def poll(self, timeout_seconds: float = 0.0) -> frozenset[Workspace]:
        """See `Connections.poll`; never waits."""
        del timeout_seconds
        if self.waiting_for is not None:
            return frozenset()
        self.ready = True
        coming, self._coming = self._coming, {}
        return frozenset(name for name, row in coming.items() if self.table.apply(name, row))

    def close(self) -> None:
        """See `Connections.close`."""
        self.is_closed = True
