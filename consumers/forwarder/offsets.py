"""Which records of a partition are settled, and how far a checkpoint may go.

Offsets have holes (transaction markers, aborted and compacted records), so nothing here counts
offsets: records are kept in the order they were read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from heapline.outcomes import Outcome

if TYPE_CHECKING:
    from consumers.forwarder.record import Record

_WRITTEN_ELSEWHERE: Final = (Outcome.DEFERRED, Outcome.DEAD_LETTERED)


class OffsetTracker:
    """The records of one partition that are read and not yet checkpointed.

    Args:
        position: the offset reading starts at.
        assigned_at: monotonic seconds of the assignment; before it somebody else may have sent.
        topic_id: the topic's id in the cluster, to notice when it is made anew.
    """

    def __init__(self, position: int, assigned_at: float = 0.0, topic_id: str = "") -> None:
        self.position = position
        self.assigned_at = assigned_at
        self.topic_id = topic_id
        self._records: deque[Record] = deque()
        self._taken_to = position

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """Take note of a record just read.

        Raises:
            ValueError: it was read before (its offset lies before the position).
        """
        if record.offset < self.position:
            raise ValueError(f"offset {record.offset} was read before; at {self.position}")
        self._records.append(record)
        self.position = record.offset + 1

    def reached(self, offset: int) -> None:
        """Take note that everything before this offset was read (a partition EOF)."""
        self.position = max(self.position, offset)

    def take_settled(self, most_written: int) -> list[Record]:
        """Remove and give the settled records before the first waiting one, in order.

        Args:
            most_written: stop after so many records that a checkpoint writes to another topic.
        """
        settled: list[Record] = []
        records = self._records
        while records and records[0].outcome is not None and most_written > 0:
            record = records.popleft()
            settled.append(record)
            if record.outcome in _WRITTEN_ELSEWHERE:
                most_written -= 1
        if settled:
            self._taken_to = self.next_offset()
        return settled

    def blocker(self) -> Record | None:
        """Give the record that no checkpoint can pass, or None where none waits."""
        waits = self._records and self._records[0].outcome is None
        return self._records[0] if waits else None

    @property
    def has_settled(self) -> bool:
        """Whether the next checkpoint has something to write down."""
        return bool(self._records) and self._records[0].outcome is not None

    def next_offset(self) -> int:
        """Give the offset a checkpoint of everything taken so far commits."""
        return self._records[0].offset if self._records else self.position

    def take_offset(self) -> int | None:
        """Give the offset to commit when nothing was taken; None where there is nothing new in it.

        A partition's end lies behind the last record where a transaction marker follows. If the
        group's offset stayed before it, retention would one day seem to have deleted unread
        records.
        """
        if self._records or self.position == self._taken_to:
            return None
        self._taken_to = self.position
        return self.position

    def drop(self) -> list[Record]:
        """Give up the partition: mark and give every record still held."""
        dropped = list(self._records)
        for record in dropped:
            record.dropped = True
        self._records.clear()
        return dropped
