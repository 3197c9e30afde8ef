"""Membership records of one partition, waiting for the end of their page."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from state.raw_changes import RawChanges


class Run(NamedTuple):
    """Neighbours in one partition, as they were read.

    Attributes:
        columns: their facts; a record that is none is left out.
        ends: for each page that ends in it, how many of the records stand before the end, and the
            offset after it; ascending.
        next_offset: where the next record to read may stand.
    """

    columns: RawChanges
    ends: list[tuple[int, int]]
    next_offset: int


class PartitionPages:
    """What was read of one partition and is not applied; pure state.

    A page and its end stand in one Kafka transaction. So where reading has come to the end of what
    is committed, a page is whole too, even if compaction took the record that closed it.

    Args:
        offset: everything before is applied.
        most: so many records without a page's end are given out all the same: memory is bounded.

    Attributes:
        offset: everything before was given out.
        cut_open: how often `most` made a page fall apart.
    """

    def __init__(self, offset: int, most: int) -> None:
        self.offset = offset
        self.cut_open = 0
        self._most = most
        self._waiting: deque[RawChanges] = deque()
        self._held = 0
        self._given = 0
        # Ends are told in records since the beginning, so that giving some out moves nothing.
        self._ends: deque[tuple[int, int]] = deque()
        self._read_to = offset

    @property
    def whole(self) -> int:
        """How many records could be given out now."""
        return self._ends[-1][0] - self._given if self._ends else 0

    @property
    def held(self) -> int:
        """How many records are in memory."""
        return self._held

    def take(self, run: Run) -> None:
        """Take what was read next."""
        before = self._given + self._held
        if len(run.columns):
            self._waiting.append(run.columns)
            self._held += len(run.columns)
        self._ends.extend((before + count, after) for count, after in run.ends)
        self._read_to = max(self._read_to, run.next_offset)
        if self._held - self.whole >= self._most:
            self.cut_open += 1
            self._close(self._read_to)

    def at_end(self, offset: int) -> None:
        """Note that everything committed before this offset was read."""
        self._read_to = max(self._read_to, offset)
        self._close(self._read_to)

    def give(self, room: int) -> RawChanges:
        """Give out whole pages until the room is used up, the last one beyond it."""
        count = 0
        while self._ends and count < room:
            end, self.offset = self._ends.popleft()
            count = end - self._given
        self._skip_empty(self._given + count)
        self._given += count
        return self._taken(count)

    def _taken(self, count: int) -> RawChanges:
        """Take the first records away."""
        parts: list[RawChanges] = []
        self._held -= count
        while count:
            first = self._waiting.popleft()
            if len(first) > count:
                self._waiting.appendleft(first.part(count, len(first)))
                first = first.part(0, count)
            parts.append(first)
            count -= len(first)
        return RawChanges.joined(parts)

    def _skip_empty(self, given: int) -> None:
        """Offsets that hold nothing to apply are passed at once."""
        while self._ends and self._ends[0][0] == given:
            self.offset = self._ends.popleft()[1]

    def _close(self, offset: int) -> None:
        there = self._given + self._held
        if self._ends and self._ends[-1][0] == there:
            self._ends.pop()
        self._ends.append((there, offset))
        self._skip_empty(self._given)
