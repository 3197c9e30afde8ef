"""One bulk request to Heap, and what follows from its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from consumers.forwarder.record import LaneKey, Partition, Record
    from consumers.forwarder.slab import Slice
    from consumers.forwarder.trial import Suspect, Trial
    from consumers.forwarder.verdict import Verdict


@dataclass(slots=True, eq=False)
class Request:
    """One bulk request: its records and rows go out together and share an answer."""

    id: int
    lane: LaneKey
    records: list[Record]
    trial: Trial | None = None
    sent_at: float = 0.0
    rows: list[Slice] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events it carries."""
        return len(self.records) + sum(rows.count for rows in self.rows)

    def bodies(self) -> list[bytes | memoryview]:
        """Give what Heap gets, to be joined with commas."""
        return [*(record.body for record in self.records), *(rows.body for rows in self.rows)]

    def carries(self, partitions: Collection[Partition]) -> bool:
        """Whether any of its events was read from these partitions."""
        return any(record.partition in partitions for record in self.records) or any(
            rows.slab.stretch.partition in partitions for rows in self.rows
        )

    def drop_given_up(self) -> None:
        """Forget what belongs to a partition that was handed over."""
        self.rows = [rows for rows in self.rows if not rows.slab.stretch.dropped]
        self.records = [record for record in self.records if not record.dropped]

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
        for rows in self.rows:
            self.records += rows.records()
        self.rows.clear()


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
