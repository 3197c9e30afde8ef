"""Many records without an object for each: a stretch of a partition.

A *stretch* is what one read gave of one partition: columns of offsets and outcomes, which the
offset tracker holds in the place of records. Its rows wait in lanes as slabs (`slab`).

That is for the way nearly all events go: read, mapped, sent, taken by Heap. On any other way a row
becomes a `Record` (see `Slab.take_records`), and everything written for records applies to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from consumers.forwarder.record import Record
from consumers.forwarder.tally import ROW_BYTES, Kind, Tally
from heapline.outcomes import Outcome, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.forwarder.record import Partition
    from heapline.outcomes import SkipReason

    Integers = NDArray[np.int64]

WAITING: Final = 0
SETTLED: Final = 1
IS_RECORD: Final = 2
"""The row became a record, which knows its own outcome."""
IN_A_SLAB: Final = "(in a batch)"
"""Stands for the identity of a row: only its hash is known."""
_WRITTEN_ELSEWHERE: Final = (Outcome.DEFERRED, Outcome.DEAD_LETTERED)


class Fate(NamedTuple):
    """What becomes of the rows of one event name of one workspace; no reason means delivered."""

    workspace: str
    name: str
    reason: SkipReason | None


class Fates(Protocol):
    """Fates by code."""

    def __len__(self) -> int:
        """Give a number above all codes so far."""
        ...

    def __getitem__(self, code: int, /) -> Fate:
        """Give the fate of a code."""
        ...


@dataclass(slots=True, eq=False)
class Stretch:
    """Rows of one partition in the order of their offsets.

    Attributes:
        partition, offsets, read_at: as of records; `offsets` ascends.
        fates: by code; each row's code is in `codes`.
        states: `WAITING`, `SETTLED` or `IS_RECORD`, by row.
        minutes: of the outcome, since 1970, of settled rows.
        records: the rows that are records.
        unsettled_bytes: values and bodies of rows that wait.
        start: rows before it have left with a checkpoint.
        dropped: the partition was handed over; nothing settles these rows here any more.
    """

    partition: Partition
    offsets: Integers
    read_at: float
    fates: Fates
    codes: Integers
    states: NDArray[np.uint8]
    minutes: Integers
    records: dict[int, Record] = field(default_factory=dict)
    unsettled_bytes: int = 0
    start: int = 0
    dropped: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - self.start

    def settle(self, rows: Integers | slice, epoch_ms: int) -> None:
        """Write down that rows have the outcome their fate names."""
        self.states[rows] = SETTLED
        self.minutes[rows] = epoch_ms // 60_000

    def first_offset(self) -> int:
        """Give the offset of the first row that has not left."""
        return int(self.offsets[self.start])

    def waiting_row(self) -> int | None:
        """Give the first row that has no outcome, or None."""
        for row in np.flatnonzero(self.states[self.start :] != SETTLED) + self.start:
            record = self.records.get(int(row))
            if record is None or record.outcome is None:
                return int(row)
        return None

    def take_settled(self, most_written: int) -> tuple[list[Record], Tally]:
        """Remove and give the settled rows before the first waiting one.

        Args:
            most_written: stop after so many records that a checkpoint writes to another topic.
        """
        begin, stop = self.start, len(self.offsets)
        records: list[Record] = []
        for row in (np.flatnonzero(self.states[begin:] != SETTLED) + begin).tolist():
            record = self.records.get(row)
            if record is None or record.outcome is None or most_written <= 0:
                stop = row
                break
            records.append(self.records.pop(row))
            most_written -= record.outcome in _WRITTEN_ELSEWHERE
        self.start = stop
        return records, self._tally(begin, stop)

    def _tally(self, begin: int, stop: int) -> Tally:
        settled = self.states[begin:stop] == SETTLED
        codes = self.codes[begin:stop][settled]
        tally = Tally(len(codes))
        if not len(codes):
            return tally
        minutes = self.minutes[begin:stop][settled]
        found, counts = np.unique(minutes * len(self.fates) + codes, return_counts=True)
        for both, count in zip(found.tolist(), counts.tolist(), strict=True):
            minute, code = divmod(both, len(self.fates))
            workspace, name, reason = self.fates[code]
            outcome = Outcome.DELIVERED if reason is None else Outcome.SKIPPED
            kind = Kind(workspace, Source.EVENTS, name, outcome, reason, minute * 60_000)
            tally.counts[kind] += count
        return tally

    def blocker(self) -> Record | None:
        """Give the first record without an outcome, or None; a row is described as one."""
        row = self.waiting_row()
        if row is None:
            return None
        known = self.records.get(row)
        if known is not None:
            return known
        workspace, name, _ = self.fates[int(self.codes[row])]
        offset, key = int(self.offsets[row]), workspace.encode()
        return Record(
            self.partition,
            offset,
            key,
            None,
            [],
            Source.EVENTS,
            self.read_at,
            workspace=workspace,
            name=name,
            identity=IN_A_SLAB,
        )

    def drop(self) -> None:
        """Take note that the partition was handed over."""
        self.dropped = True
        for record in self.records.values():
            record.drop()

    def reckoned_bytes(self) -> int:
        """Give the memory reckoned for rows and records that have not left."""
        rows = len(self) - len(self.records)
        records = sum(r.reckoned_bytes() for r in self.records.values())
        return rows * ROW_BYTES + self.unsettled_bytes + records
