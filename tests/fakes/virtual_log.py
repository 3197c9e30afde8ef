"""Kafka for the virtual world: logs with holes; checkpoints happen at once or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from consumers.forwarder.checkpoint import outcome_counts
from consumers.forwarder.record import Partition
from heapline.outcomes import Outcome

if TYPE_CHECKING:
    from consumers.forwarder.checkpoint import Checkpoint
    from consumers.forwarder.record import Record
    from heapline.kafka.headers import Headers

EVENTS = "events"
DEFERRED = "deferred"


class Entry(NamedTuple):
    """A record as it stands in a log."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class VirtualLog:
    """The topics and the group's offsets.

    Attributes:
        entries: by partition, in order; offsets have holes where a transaction marker stands.
        ends: by partition, the offset after the last, markers included.
        committed: the group's offsets.
        dead: origins of the records in the DLQ, with their reasons.
        counts: the sums of all outcome counts by (source, outcome, reason).
        checkpoints: how many there were.
    """

    partitions: int = 1
    entries: dict[Partition, list[Entry]] = field(default_factory=dict)
    ends: Counter[Partition] = field(default_factory=Counter)
    committed: Counter[Partition] = field(default_factory=Counter)
    dead: list[tuple[str, str, str]] = field(default_factory=list)
    counts: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    counts_by_workspace: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    deferred_reasons: Counter[str] = field(default_factory=Counter)
    checkpoints: int = 0

    def all_partitions(self) -> list[Partition]:
        """Give every partition of both topics."""
        return [Partition(t, n) for t in (EVENTS, DEFERRED) for n in range(self.partitions)]

    def append(
        self, partition: Partition, key: bytes | None, value: bytes | None, headers: Headers
    ) -> int:
        """Write a record; give its offset."""
        offset = self.ends[partition]
        self.entries.setdefault(partition, []).append(Entry(offset, key, value, headers))
        self.ends[partition] = offset + 1
        return offset

    def read(self, partition: Partition, position: int, most: int) -> list[Entry]:
        """Give the records from a position on."""
        entries = self.entries.get(partition, [])
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) // 2
            if entries[middle].offset < position:
                low = middle + 1
            else:
                high = middle
        return entries[low : low + most]

    def write_down(self, checkpoint: Checkpoint) -> None:
        """Apply a checkpoint as one transaction."""
        self.checkpoints += 1
        touched = {self._write(record) for record in checkpoint.records()} - {None}
        for partition in touched:
            if partition is not None:
                self.ends[partition] += 1  # the transaction's marker
        for counted in outcome_counts(checkpoint):
            for each in counted["counts"]:
                kind = (each["outcome"], each["reason"])
                self.counts[(each["source"], *kind)] += each["count"]
                self.counts_by_workspace[(counted["workspace"], *kind)] += each["count"]
        for partition, settled in checkpoint.partitions.items():
            assert settled.offset >= self.committed[partition], "a checkpoint went back"
            self.committed[partition] = settled.offset

    def _write(self, record: Record) -> Partition | None:
        if record.outcome is Outcome.DEAD_LETTERED:
            assert record.letter is not None
            self.dead.append(
                (str(record.letter.origin), record.letter.event_id, record.letter.reason)
            )
        if record.outcome is not Outcome.DEFERRED:
            return None
        assert record.next_deferral is not None
        self.deferred_reasons[str(record.next_deferral.reason)] += 1
        partition = Partition(DEFERRED, record.partition.number)
        self.append(partition, record.key, record.value, record.next_deferral.headers())
        return partition

    def unread(self, topic: str) -> list[Entry]:
        """Give the records at or past the committed offsets."""
        found = []
        for number in range(self.partitions):
            partition = Partition(topic, number)
            entries = self.entries.get(partition, [])
            found += [e for e in entries if e.offset >= self.committed[partition]]
        return found

    def before_committed(self, topic: str) -> int:
        """Count the records before the committed offsets."""
        total = sum(len(es) for p, es in self.entries.items() if p.topic == topic)
        return total - len(self.unread(topic))

    def written(self, source: str) -> int:
        """Count the outcomes written down for a source."""
        return sum(count for (s, _, _), count in self.counts.items() if s == source)

    def outcome(self, outcome: str) -> int:
        """Count the records with an outcome, over all sources."""
        return sum(count for (_, o, _), count in self.counts.items() if o == outcome)
