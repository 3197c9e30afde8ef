"""What a checkpoint writes down: the settled prefix of each partition, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from consumers.forwarder.tally import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from consumers.forwarder.offsets import OffsetTracker
    from consumers.forwarder.record import Partition, Record
    from consumers.forwarder.tally import Tally

_KIND: Final = attrgetter("workspace", "source", "name", "outcome", "reason", "minute_ms")
_COUNTS_PER_RECORD: Final = 2_000
"""Event names are an open set; a record of counts must stay far below the topic's largest size."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One partition's share of a checkpoint.

    Attributes:
        records: settled records in order, from the last checkpoint on; none where only the end of
            the partition moved.
        offset: where reading starts after this checkpoint.
        topic_id: of the topic whose offset that is.
        tallies: outcomes of rows that were no records.
    """

    records: list[Record]
    offset: int
    topic_id: str
    tallies: list[Tally] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records) + sum(tally.rows for tally in self.tallies)


@dataclass(slots=True)
class Checkpoint:
    """Everything one transaction writes down."""

    partitions: dict[Partition, Settled] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.partitions.values()))

    def records(self) -> Iterator[Record]:
        """Give the settled records."""
        for settled in self.partitions.values():
            yield from settled.records

    def counts(self) -> Counter[Kind]:
        """Count the outcomes."""
        # Counting tuples of attributes stays in C, and it is done for every record there is.
        counts: Counter[Kind] = Counter()
        for kind, count in Counter(map(_KIND, self.records())).items():
            counts[Kind(*kind)] += count
        for settled in self.partitions.values():
            for tally in settled.tallies:
                counts.update(tally.counts)
        return counts

    def rows(self) -> int:
        """Count the settled rows that were no records."""
        return sum(t.rows for settled in self.partitions.values() for t in settled.tallies)

    def moved(self) -> int:
        """Count the records that are written to other topics."""
        return sum(map(_is_moved, self.records()))

    def without(self, partitions: Collection[Partition]) -> Checkpoint:
        """Give what is left when some partitions were handed over."""
        return Checkpoint({p: s for p, s in self.partitions.items() if p not in partitions})

    def only(self, partitions: Collection[Partition]) -> Checkpoint:
        """Give the share of some partitions."""
        return Checkpoint({p: s for p, s in self.partitions.items() if p in partitions})


def collect(trackers: Mapping[Partition, OffsetTracker], most_written: int) -> Checkpoint | None:
    """Take the settled prefixes, or give None where there is nothing to write down.

    Args:
        trackers: by partition; what is taken leaves them.
        most_written: records to write to other topics after which no more are taken.
    """
    checkpoint = Checkpoint()
    for partition, tracker in trackers.items():
        records = tracker.take_settled(most_written)
        tallies = tracker.take_tallies()
        offset = tracker.next_offset() if records or tallies else tracker.take_offset()
        if offset is not None:
            settled = Settled(records, offset, tracker.topic_id, tallies)
            checkpoint.partitions[partition] = settled
            most_written -= sum(map(_is_moved, records))
    return checkpoint if checkpoint.partitions else None


def _is_moved(record: Record) -> bool:
    return record.letter is not None or record.next_deferral is not None


def outcome_counts(checkpoint: Checkpoint) -> Iterator[dict[str, Any]]:
    """Count a checkpoint's outcomes: `OutcomeCounts` records, at least one a workspace."""
    counts: dict[str, list[dict[str, Any]]] = {}
    for kind, count in checkpoint.counts().items():
        workspace, source, event, outcome, reason, minute_ms = kind
        counted = {
            "source": source.value,
            "event": event[:_LONGEST_NAME],
            "outcome": str(outcome),
            "reason": None if reason is None else reason.value,
            "minute": minute_ms,
            "count": count,
        }
        counts.setdefault(workspace, []).append(counted)
    for workspace, items in counts.items():
        for start in range(0, len(items), _COUNTS_PER_RECORD):
            yield {"workspace": workspace, "counts": items[start : start + _COUNTS_PER_RECORD]}


_LONGEST_NAME: Final = 100
"""A longer name is cut in the counts only; Heap's own limit is 1,024."""
