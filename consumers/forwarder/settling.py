"""Writing down what becomes of records, and how much memory the waiting ones hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from consumers.forwarder.deferral import deferred_again, not_before_ms, origin_of
from consumers.forwarder.flood import FloodMeter
from consumers.forwarder.tally import ROW_BYTES
from heapline.errors import MustStop, Undeliverable
from heapline.kafka.codec import schema_id_of
from heapline.kafka.headers import DeadLetter
from heapline.outcomes import DeadLetterReason, Outcome, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.forwarder.checkpoint import Checkpoint
    from consumers.forwarder.record import Now, Partition, Record
    from consumers.forwarder.slab import Slice
    from consumers.forwarder.stretch import Stretch
    from consumers.forwarder.trial import Suspect
    from heapline.outcomes import DeferReason, SkipReason
    from heapline.settings import ForwarderSettings, LimitSettings


class Settling:
    """Settles records; pure state.

    Attributes:
        held_bytes: memory reckoned for records read and not yet checkpointed.
        read: records read and not yet reported, by source.
    """

    def __init__(self, limits: LimitSettings, settings: ForwarderSettings) -> None:
        self.held_bytes = 0
        self.read: Counter[Source] = Counter()
        self._limits = limits
        self._settings = settings
        self._flood = FloodMeter(settings.dead_letters_per_minute)
        self._backlog: dict[int, Counter[str]] = {}

    def took(self, record: Record) -> None:
        """Count a record just read."""
        self.read[record.source] += 1
        self.held_bytes += record.reckoned_bytes()

    def take_read(self) -> Counter[Source]:
        """Give the counts of records read since the last call."""
        read, self.read = self.read, Counter()
        return read

    def let_go(self, checkpoint: Checkpoint) -> None:
        """Count records that are in memory no longer: checkpointed, or forgotten by a writer."""
        self.held_bytes -= sum(record.reckoned_bytes() for record in checkpoint.records())
        self.held_bytes -= ROW_BYTES * checkpoint.rows()

    def dropped(self, held: Iterable[Record | Stretch]) -> None:
        """Count what is in memory no longer because its partition was handed over."""
        self.held_bytes -= sum(each.reckoned_bytes() for each in held)

    def took_stretch(self, stretch: Stretch) -> None:
        """Count rows just read, of which some are records."""
        self.read[Source.EVENTS] += len(stretch)
        self.held_bytes += stretch.reckoned_bytes()

    def became_records(self, rows: Slice, records: Iterable[Record]) -> None:
        """Count rows as the records they are from now on."""
        held = rows.bytes_held
        rows.slab.stretch.unsettled_bytes -= held
        self.held_bytes += sum(r.reckoned_bytes() for r in records) - held - ROW_BYTES * rows.count

    def delivered_rows(self, rows: Slice, now: Now) -> None:
        """Heap took them."""
        held = rows.bytes_held
        rows.slab.stretch.unsettled_bytes -= held
        self.held_bytes -= held
        rows.settle(now.epoch_ms)

    def mapped(self, record: Record, identity: str, body: bytes) -> None:
        """Note what Heap will get; an empty body takes it back."""
        self.held_bytes += len(body) - len(record.body)
        record.identity, record.body = identity, body

    def delivered(self, record: Record, now: Now) -> None:
        """Heap took it."""
        self._settle(record, Outcome.DELIVERED, now, None)

    def skipped(self, record: Record, reason: SkipReason, now: Now) -> None:
        """The gate refused it."""
        self._settle(record, Outcome.SKIPPED, now, reason)

    def defer(self, record: Record, reason: DeferReason, backlog: int, now: Now) -> None:
        """Send it to the deferred topic, behind so many of its workspace already there.

        Args:
            record: a waiting record; its workspace is set.
            reason: why.
            backlog: its workspace's deferred records known elsewhere than here.
            now: the time.
        """
        elsewhere = self._backlog.setdefault(record.partition.number, Counter())
        ahead = backlog + elsewhere[record.workspace]
        elsewhere[record.workspace] += 1
        rate = self._limits.events_per_minute_per_app
        due_ms = not_before_ms(now.epoch_ms, ahead, rate, self._settings)
        record.next_deferral = deferred_again(record, reason, now.epoch_ms, due_ms)
        self._settle(record, Outcome.DEFERRED, now, reason)

    def came_back(self, record: Record) -> None:
        """Count a deferred record that was read again; those of a predecessor were never counted.

        Args:
            record: its workspace is set.
        """
        elsewhere = self._backlog.get(record.partition.number)
        if elsewhere is None or record.workspace not in elsewhere:
            return
        elsewhere[record.workspace] -= 1
        if not elsewhere[record.workspace]:
            del elsewhere[record.workspace]

    def deferred_elsewhere(self) -> Counter[str]:
        """Give how many records of each workspace were deferred and not read again yet."""
        return sum(self._backlog.values(), Counter[str]())

    def handed_over(self, partition: Partition) -> None:
        """Forget what was deferred to a partition that somebody else reads from now on."""
        self._backlog.pop(partition.number, None)

    def bury(
        self, record: Record, reason: DeadLetterReason, error: str, now: Now, answer: Suspect | None
    ) -> bool:
        """Dead-letter a record; False, and nothing done, when that would be a flood.

        Expired records are no flood, however many: they come as fast as they once were deferred.

        Raises:
            MustStop: a flood of records without a workspace: nobody could be paused for it.
        """
        expired = reason is DeadLetterReason.EXPIRED
        if not expired and not self._flood.admits(record.workspace, now.monotonic):
            if not record.workspace:
                raise MustStop(
                    "a flood of records without a usable key: something that is no publisher of "
                    f"events writes to {record.partition.topic}; stop it, then start again"
                )
            return False
        record.letter = DeadLetter(
            origin=origin_of(record),
            reason=reason,
            workspace=record.workspace,
            event_id=record.event_id,
            error=error,
            status=answer.status if answer else None,
            body_excerpt=answer.body_excerpt if answer else "",
            attempts=record.attempts,
            first_failure_at_ms=record.first_failure_ms or now.epoch_ms,
            last_failure_at_ms=now.epoch_ms,
            schema_id=_schema_id(record.value),
            source=record.source,
        )
        self._settle(record, Outcome.DEAD_LETTERED, now, reason)
        return True

    def _settle(
        self,
        record: Record,
        outcome: Outcome,
        now: Now,
        reason: SkipReason | DeadLetterReason | DeferReason | None,
    ) -> None:
        body, value = record.body, record.value
        record.settle(outcome, now, reason)
        self.held_bytes -= len(body)
        if value is not None and record.value is None:
            self.held_bytes -= len(value)


def _schema_id(value: bytes | None) -> int | None:
    try:
        return schema_id_of(value)
    except Undeliverable:
        return None
