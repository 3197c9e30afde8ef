"""What the materializer's loop stands on, in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from consumers.materializer.assembler import Assembled
    from consumers.materializer.parts import Part
    from consumers.materializer.segment_rows import VisibleRow
    from consumers.materializer.starting import There, TopicPartition
    from state.payload import OutcomeFacts
    from tests.fakes.clock import FakeClock


@dataclass
class FakeSource:
    """`Source` that gives what it is told, one batch a read; an exception is raised.

    Attributes:
        batches: what comes; afterwards nothing does.
        clock: moves on by the time waited for nothing.
        opened: where reading began, and whether by whole pages.
        has: what the brokers have.
    """

    clock: FakeClock
    batches: deque[list[Part] | Exception] = field(default_factory=deque)
    opened: list[tuple[dict[TopicPartition, int], bool]] = field(default_factory=list)
    has: There | None = None

    def there(self) -> There:
        """See `Source.there`."""
        assert self.has is not None, "nobody said what the brokers have"
        return self.has

    def open(self, positions: Mapping[TopicPartition, int], *, whole_pages: bool = True) -> None:
        """See `Source.open`."""
        self.opened.append((dict(positions), whole_pages))

    def read(self, timeout_seconds: float) -> list[Part]:
        """See `Source.read`."""
        if not self.batches:
            self.clock.sleep(max(timeout_seconds, 0.001))
            return []
        batch = self.batches.popleft()
        if isinstance(batch, Exception):
            raise batch
        return batch

    def close(self) -> None:
        """See `Source.close`."""


@dataclass
class FakeNode:
    """`loop.Node` that remembers what it was given.

    Attributes:
        applied: users, segments of rows and positions of each payload.
        checkpoints: versions that were folded in.
        shown_again: workspaces whose segments were.
    """

    version: int = 0
    log_bytes: int = 0
    applied: list[tuple[list[str], list[str], dict[TopicPartition, int]]] = field(
        default_factory=list
    )
    checkpoints: list[int] = field(default_factory=list)
    shown_again: list[frozenset[str]] = field(default_factory=list)

    def apply(
        self, cut: Assembled[VisibleRow, OutcomeFacts], positions: Mapping[TopicPartition, int]
    ) -> int:
        """See `loop.Node`."""
        rows = [row.facts.segment_id for row in cut.rows]
        self.applied.append((list(cut.changes.user), rows, dict(positions)))
        self.version += 1
        return len(cut.changes)

    def checkpoint(self) -> None:
        """See `loop.Node`."""
        self.checkpoints.append(self.version)

    def show_again(self, workspaces: Collection[str]) -> None:
        """See `loop.Node`."""
        self.shown_again.append(frozenset(workspaces))


@dataclass
class FakeCopies:
    """`loop.Replicas`: a copy takes so many looks.

    Attributes:
        made: how many were begun.
    """

    takes: int = 0
    made: int = 0
    _left: int = 0

    @property
    def copying(self) -> bool:
        """See `loop.Replicas`."""
        self._left = max(0, self._left - 1)
        return self._left > 0

    def begin(self) -> None:
        """See `loop.Replicas`."""
        self.made += 1
        self._left = self.takes


class FakeDisk:
    """`loop.Disk` with room enough."""

    def look(self, now: float) -> None:
        """See `loop.Disk`."""
