"""Connections in memory, changed as the registry changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.errors import CallerMistake, HeaplineError

if TYPE_CHECKING:
    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.heap.segment_record import HeapSegment
    from heapline.words import SegmentId, Workspace
    from producers.connections import Decision


class FakeRows:
    """`operations.connecting.Rows` without Kafka.

    Attributes:
        rows: by workspace; tests may put what they like.
        problem: raised by everything while set.
    """

    def __init__(self, clock: Clock, *rows: Connection) -> None:
        self.rows = {row.workspace: row for row in rows}
        self.problem: HeaplineError | None = None
        self._clock = clock

    def list(self) -> tuple[Connection, ...]:
        """See `Rows.list`."""
        if self.problem is not None:
            raise self.problem
        return tuple(row for _, row in sorted(self.rows.items()))

    def change(self, workspace: Workspace, decide: Decision) -> Connection:
        """See `Rows.change`."""
        changed = decide(self.list(), self._clock.epoch_ms())
        self.rows[workspace] = changed
        return changed

    def remove(self, workspace: Workspace) -> None:
        """See `operations.offboarding.Removable`."""
        if self.problem is not None:
            raise self.problem
        if workspace not in self.rows:
            raise CallerMistake("there is no connection")
        del self.rows[workspace]


class FakeSegments:
    """`Drain` and `SegmentNews` in one, over a list.

    Attributes:
        segments: what there is.
        drained: workspaces whose segments were drained.
        problem: raised by everything while set.
    """

    def __init__(self, *segments: HeapSegment) -> None:
        self.segments = list(segments)
        self.drained: list[Workspace] = []
        self.problem: HeaplineError | None = None

    def of(self, workspace: Workspace) -> tuple[HeapSegment, ...]:
        """See `SegmentNews.of`."""
        if self.problem is not None:
            raise self.problem
        return tuple(each for each in self.segments if each.workspace == workspace)

    def drain(self, workspace: Workspace) -> tuple[SegmentId, ...]:
        """See `Drain.drain`."""
        found = self.of(workspace)
        self.drained.append(workspace)
        return tuple(each.segment_id for each in found)
