"""Deferred records read ahead of their time, each workspace's in the order they become due."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from consumers.forwarder.deferral import is_past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.forwarder.record import Record


class ReadAhead:
    """A bounded window over the deferred partitions.

    Args:
        most: records beyond which nothing more is read.
        most_bytes: memory beyond which nothing more is read.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._count = 0
        self._bytes = 0
        self._order = count()
        self._by_workspace: dict[str, list[tuple[int, int, Record]]] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether no more should be read."""
        return self._count >= self._most or self._bytes >= self._most_bytes

    def add(self, record: Record) -> None:
        """Keep a record until it is due (its workspace and `deferral` are set)."""
        due_ms = record.deferral.not_before_ms if record.deferral else 0
        waiting = self._by_workspace.setdefault(record.workspace, [])
        heapq.heappush(waiting, (due_ms, next(self._order), record))
        self._count += 1
        self._bytes += record.reckoned_bytes()

    def due_workspaces(self, now_ms: int) -> list[str]:
        """Give the workspaces that have a record due."""
        return [w for w, waiting in self._by_workspace.items() if waiting[0][0] <= now_ms]

    def take_due(self, workspace: str, now_ms: int, most: int) -> Iterator[Record]:
        """Take up to so many due records of one workspace, the longest due first."""
        waiting = self._by_workspace.get(workspace, [])
        while waiting and most > 0 and waiting[0][0] <= now_ms:
            most -= 1
            record = heapq.heappop(waiting)[2]
            self._let_go(record)
            yield record
        if not waiting:
            self._by_workspace.pop(workspace, None)

    def backlog(self, workspace: str) -> int:
        """Give how many of a workspace's records are in the window."""
        return len(self._by_workspace.get(workspace, ()))

    def counts(self) -> dict[str, int]:
        """Give how many records of each workspace are in the window."""
        return {workspace: len(waiting) for workspace, waiting in self._by_workspace.items()}

    def take_past(self, now_ms: int, seconds: float) -> list[Record]:
        """Take records first deferred longer ago than that, due or not."""
        return self._take(lambda r: r.deferral is not None and is_past(r.deferral, now_ms, seconds))

    def count_past(self, now_ms: int, seconds: float) -> int:
        """Count records first deferred longer ago than that."""
        return sum(
            record.deferral is not None and is_past(record.deferral, now_ms, seconds)
            for waiting in self._by_workspace.values()
            for _, _, record in waiting
        )

    def drop(self) -> None:
        """Forget records whose partition was handed over."""
        self._take(lambda record: record.dropped)

    def _take(self, leaves: Callable[[Record], bool]) -> list[Record]:
        taken: list[Record] = []
        for workspace, waiting in list(self._by_workspace.items()):
            leaving = [item[2] for item in waiting if leaves(item[2])]
            if not leaving:
                continue
            taken += leaving
            kept = [item for item in waiting if not leaves(item[2])]
            heapq.heapify(kept)
            if kept:
                self._by_workspace[workspace] = kept
            else:
                del self._by_workspace[workspace]
        for record in taken:
            self._let_go(record)
        return taken

    def _let_go(self, record: Record) -> None:
        self._count -= 1
        self._bytes -= record.reckoned_bytes()
