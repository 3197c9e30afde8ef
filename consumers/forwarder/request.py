"""One bulk request to Heap, and what follows from its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.forwarder.record import Record

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from consumers.forwarder.record import LaneKey, Partition
    from consumers.forwarder.slab import Slice
    from consumers.forwarder.trial import Suspect, Trial
    from consumers.forwarder.verdict import Verdict


@dataclass(slots=True, eq=False)
class Request:
    """One bulk request: the records and rows it carries go out in order and share an answer."""

    id: int
    lane: LaneKey
    carried: Sequence[Record | Slice]
    trial: Trial | None = None
    sent_at: float = 0.0

    @property
    def records(self) -> list[Record]:
        """Those of its events that are records."""
        return [each for each in self.carried if isinstance(each, Record)]

    @property
    def rows(self) -> list[Slice]:
        """Those of its events that are rows."""
        return [each for each in self.carried if not isinstance(each, Record)]

    @property
    def events(self) -> int:
        """How many events it carries."""
        return sum(1 if isinstance(each, Record) else each.count for each in self.carried)

    def bodies(self) -> list[bytes | memoryview]:
        """Give what Heap gets, to be joined with commas."""
        return [each.body for each in self.carried]

    def carries(self, partitions: Collection[Partition]) -> bool:
        """Whether any of its events was read from these partitions."""
        return any(each.partition in partitions for each in self.carried)

    def holds(self, record: Record) -> bool:
        """Whether it carries this record, or the row the record describes."""
        return any(
            each is record
            if isinstance(each, Record)
            else each.partition == record.partition and record.offset in each.offsets
            for each in self.carried
        )

    def drop_given_up(self) -> None:
        """Forget what belongs to a partition that was handed over."""
        self.carried = [each for each in self.carried if not each.dropped]

    def attempted(self, failed_ms: int | None) -> None:
        """Note on the records that they were sent, and when that failed."""
        if self.trial is not None and self.trial.dissolved:
            self.trial = None
        for record in self.records:
            record.attempts += 1
            if failed_ms is not None:
                record.first_failure_ms = record.first_failure_ms or failed_ms

    def rows_to_records(self) -> None:
        """Let its rows be records from now on."""
        carried: list[Record] = []
        for each in self.carried:
            carried += [each] if isinstance(each, Record) else each.records()
        self.carried = carried


@dataclass(slots=True)
class Consequence:
    """What follows from an answer.

    Attributes:
        verdict: what the answer was.
        delivered, rows: records and rows Heap took.
        poison: records Heap refuses on their own.
        too_large: records too large to be sent even alone.
    """

    verdict: Verdict
    delivered: list[Record] = field(default_factory=list)
    rows: list[Slice] = field(default_factory=list)
    poison: list[Suspect] = field(default_factory=list)
    too_large: list[Suspect] = field(default_factory=list)
