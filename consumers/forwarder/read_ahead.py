"""Deferred records read ahead of their time, each workspace's in the order they become due."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Final

from consumers.forwarder.deferral import is_past
from heapline.outcomes import DeferReason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from consumers.forwarder.record import Record

_FOREVER_MS: Final = 2**63


class _Line:
    """One workspace's records; those over their identity's limit in a line of their own.

    The others may leave early: their time is only a guess at when their lane gets to them. But an
    identity over its limit is over it until its time, however idle its lane.
    """

    def __init__(self) -> None:
        self.early: list[tuple[int, int, Record]] = []
        self.strict: list[tuple[int, int, Record]] = []

    def __len__(self) -> int:
        return len(self.early) + len(self.strict)

    def __iter__(self) -> Iterator[Record]:
        for heap in (self.early, self.strict):
            for _, _, record in heap:
                yield record

    def heap_for(self, record: Record) -> list[tuple[int, int, Record]]:
        deferral = record.deferral
        over = deferral is not None and deferral.reason is DeferReason.IDENTITY_OVER_LIMIT
        return self.strict if over else self.early

    def due(self, early_by_ms: int, strict_by_ms: int) -> list[tuple[int, int, Record]] | None:
        """Give the heap whose first record may leave, the longest due first."""
        chosen = None
        for heap, by_ms in ((self.early, early_by_ms), (self.strict, strict_by_ms)):
            if heap and heap[0][0] <= by_ms and (chosen is None or heap[0] < chosen[0]):
                chosen = heap
        return chosen

    def let_go(self, records: Iterable[Record]) -> None:
        gone = {id(record) for record in records}
        for heap in (self.early, self.strict):
            heap[:] = [item for item in heap if id(item[2]) not in gone]
            heapq.heapify(heap)


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
        self._by_workspace: dict[str, _Line] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether no more should be read."""
        return self._count >= self._most or self._bytes >= self._most_bytes

    def add(self, record: Record) -> None:
        """Keep a record until it is wanted (its workspace and `deferral` are set)."""
        due_ms = record.deferral.not_before_ms if record.deferral else 0
        line = self._by_workspace.setdefault(record.workspace, _Line())
        heapq.heappush(line.heap_for(record), (due_ms, next(self._order), record))
        self._count += 1
        self._bytes += record.reckoned_bytes()

    def due_workspaces(self, now_ms: int) -> list[str]:
        """Give the workspaces that have a record due."""
        return [w for w, line in self._by_workspace.items() if line.due(now_ms, now_ms) is not None]

    def ready_workspaces(self, now_ms: int) -> list[str]:
        """Give the workspaces that have a record due, or one that may leave before it is."""
        lines = self._by_workspace.items()
        return [w for w, line in lines if line.due(_FOREVER_MS, now_ms) is not None]

    def take_due(self, workspace: str, now_ms: int, most: int) -> Iterator[Record]:
        """Take up to so many due records of one workspace, the longest due first."""
        return self._take(workspace, now_ms, now_ms, most)

    def take_ready(self, workspace: str, now_ms: int, most: int) -> Iterator[Record]:
        """Take up to so many records for a lane that has room for them now, due or not.

        Only records of identities over their own limit wait until they are due.
        """
        return self._take(workspace, _FOREVER_MS, now_ms, most)

    def _take(
        self, workspace: str, early_by_ms: int, strict_by_ms: int, most: int
    ) -> Iterator[Record]:
        line = self._by_workspace.get(workspace)
        while line and most > 0:
            heap = line.due(early_by_ms, strict_by_ms)
            if heap is None:
                return
            most -= 1
            record = heapq.heappop(heap)[2]
            self._let_go(record)
            if not line:
                del self._by_workspace[workspace]
            yield record

    def take_last(self, workspace: str, most: int) -> list[Record]:
        """Take up to so many records of one workspace, those that become due last."""
        line = self._by_workspace.get(workspace, _Line())
        last = [item[2] for item in heapq.nlargest(most, (*line.early, *line.strict))]
        self._remove(workspace, last)
        return last

    def backlog(self, workspace: str) -> int:
        """Give how many of a workspace's records are in the window."""
        return len(self._by_workspace.get(workspace, ()))

    def counts(self) -> dict[str, int]:
        """Give how many records of each workspace are in the window."""
        return {workspace: len(line) for workspace, line in self._by_workspace.items()}

    def take_past(self, now_ms: int, seconds: float) -> list[Record]:
        """Take records first deferred longer ago than that, due or not."""
        return self._take_where(
            lambda r: r.deferral is not None and is_past(r.deferral, now_ms, seconds)
        )

    def count_past(self, now_ms: int, seconds: float) -> int:
        """Count records first deferred longer ago than that."""
        return sum(
            record.deferral is not None and is_past(record.deferral, now_ms, seconds)
            for line in self._by_workspace.values()
            for record in line
        )

    def drop(self) -> None:
        """Forget records whose partition was handed over."""
        self._take_where(lambda record: record.dropped)

    def _take_where(self, leaves: Callable[[Record], bool]) -> list[Record]:
        taken: list[Record] = []
        for workspace, line in list(self._by_workspace.items()):
            leaving = [record for record in line if leaves(record)]
            self._remove(workspace, leaving)
            taken += leaving
        return taken

    def _remove(self, workspace: str, records: Collection[Record]) -> None:
        if not records:
            return
        line = self._by_workspace[workspace]
        line.let_go(records)
        if not line:
            del self._by_workspace[workspace]
        for record in records:
            self._let_go(record)

    def _let_go(self, record: Record) -> None:
        self._count -= 1
        self._bytes -= record.reckoned_bytes()
