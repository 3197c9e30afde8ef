"""Membership records of one partition, waiting for the end of their page."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Columns:
    """Membership records as columns, in the order of the log; all of one length.

    Attributes:
        workspace, user, segment: ids, as text.
        enters: False where the user left.
        at_ms: when the page was accepted, since 1970-01-01 UTC.
        sync: the sync's id, None where none is named.
    """

    workspace: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    segment: list[str] = field(default_factory=list)
    enters: list[bool] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    sync: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.user)

    def extend(self, other: Columns) -> None:
        """Put all of another's records behind."""
        self.workspace += other.workspace
        self.user += other.user
        self.segment += other.segment
        self.enters += other.enters
        self.at_ms += other.at_ms
        self.sync += other.sync

    def taken(self, count: int) -> Columns:
        """Take the first records away, and give them."""
        if count == len(self):
            whole = Columns(
                self.workspace, self.user, self.segment, self.enters, self.at_ms, self.sync
            )
            self.workspace, self.user, self.segment = [], [], []
            self.enters, self.at_ms, self.sync = [], [], []
            return whole
        first = Columns(
            self.workspace[:count],
            self.user[:count],
            self.segment[:count],
            self.enters[:count],
            self.at_ms[:count],
            self.sync[:count],
        )
        for column in (
            self.workspace,
            self.user,
            self.segment,
            self.enters,
            self.at_ms,
            self.sync,
        ):
            del column[:count]
        return first


class Run(NamedTuple):
    """Neighbours in one partition, as they were read.

    Attributes:
        columns: their facts; a record that is none is left out.
        ends: for each page that ends in it, how many of the records stand before the end, and the
            offset after it; ascending.
        next_offset: where the next record to read may stand.
    """

    columns: Columns
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
        self._waiting = Columns()
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
        return len(self._waiting)

    def take(self, run: Run) -> None:
        """Take what was read next."""
        before = self._given + len(self._waiting)
        self._waiting.extend(run.columns)
        self._ends.extend((before + count, after) for count, after in run.ends)
        self._read_to = max(self._read_to, run.next_offset)
        if len(self._waiting) - self.whole >= self._most:
            self.cut_open += 1
            self._close(self._read_to)

    def at_end(self, offset: int) -> None:
        """Note that everything committed before this offset was read."""
        self._read_to = max(self._read_to, offset)
        self._close(self._read_to)

    def give(self, room: int) -> Columns:
        """Give out whole pages until the room is used up, the last one beyond it."""
        count = 0
        while self._ends and count < room:
            end, self.offset = self._ends.popleft()
            count = end - self._given
        self._skip_empty(self._given + count)
        self._given += count
        return self._waiting.taken(count)

    def _skip_empty(self, given: int) -> None:
        """Offsets that hold nothing to apply are passed at once."""
        while self._ends and self._ends[0][0] == given:
            self.offset = self._ends.popleft()[1]

    def _close(self, offset: int) -> None:
        there = self._given + len(self._waiting)
        if self._ends and self._ends[-1][0] == there:
            self._ends.pop()
        self._ends.append((there, offset))
        self._skip_empty(self._given)
