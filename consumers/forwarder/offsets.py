"""Which records of a partition are settled, and how far a checkpoint may go.

Offsets have holes (transaction markers, aborted and compacted records), so nothing here counts
offsets: records, and stretches of rows, are kept in the order they were read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from consumers.forwarder.record import Record
from heapline.outcomes import Outcome

if TYPE_CHECKING:
    from consumers.forwarder.stretch import Stretch
    from consumers.forwarder.tally import Tally

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
        self._records: deque[Record | Stretch] = deque()
        self._taken_to = position
        self._tallies: list[Tally] = []
        self._rows = 0

    def __len__(self) -> int:
        return len(self._records) + self._rows

    def add(self, record: Record) -> None:
        """Take note of a record just read.

        Raises:
            ValueError: it was read before (its offset lies before the position).
        """
        if record.offset < self.position:
            raise ValueError(f"offset {record.offset} was read before; at {self.position}")
        self._records.append(record)
        self.position = record.offset + 1

    def add_stretch(self, stretch: Stretch) -> None:
        """Take note of rows just read.

        Raises:
            ValueError: some were read before.
        """
        if stretch.first_offset() < self.position:
            raise ValueError(f"{stretch.first_offset()} was read before; at {self.position}")
        self._records.append(stretch)
        self._rows += len(stretch) - 1  # it counts one already
        self.position = int(stretch.offsets[-1]) + 1

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
        while records and most_written > 0:
            first = records[0]
            if not isinstance(first, Record):
                taken = self._take_rows(first, most_written)
                most_written -= sum(record.outcome in _WRITTEN_ELSEWHERE for record in taken)
                settled += taken
                if len(first):
                    break
            elif first.outcome is None:
                break
            else:
                settled.append(first)
                most_written -= first.outcome in _WRITTEN_ELSEWHERE
            records.popleft()
        if settled or self._tallies:
            self._taken_to = self.next_offset()
        return settled

    def _take_rows(self, stretch: Stretch, most_written: int) -> list[Record]:
        before = len(stretch)
        records, tally = stretch.take_settled(most_written)
        self._rows -= before - max(1, len(stretch))
        if tally.rows:
            self._tallies.append(tally)
        return records

    def take_tallies(self) -> list[Tally]:
        """Give the outcomes of the rows that left with the records last taken."""
        tallies, self._tallies = self._tallies, []
        return tallies

    def blocker(self) -> Record | None:
        """Give the record that no checkpoint can pass, or None where none waits."""
        first = self._records[0] if self._records else None
        if first is None or isinstance(first, Record):
            return first if first is not None and first.outcome is None else None
        return first.blocker()

    @property
    def has_settled(self) -> bool:
        """Whether the next checkpoint has something to write down."""
        first = self._records[0] if self._records else None
        if first is None or isinstance(first, Record):
            return first is not None and first.outcome is not None
        return first.waiting_row() != first.start

    def next_offset(self) -> int:
        """Give the offset a checkpoint of everything taken so far commits."""
        if not self._records:
            return self.position
        first = self._records[0]
        return first.offset if isinstance(first, Record) else first.first_offset()

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

    def drop(self) -> list[Record | Stretch]:
        """Give up the partition: mark and give every record and stretch still held."""
        dropped = list(self._records)
        for each in dropped:
            each.drop()
        self._records.clear()
        self._rows = 0
        return dropped
