"""One record on its way through the forwarder, from the topic to its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from heapline.outcomes import Outcome, Source

if TYPE_CHECKING:
    from heapline.heap.connection import Region
    from heapline.kafka.headers import DeadLetter, Deferral, Headers
    from heapline.outcomes import DeadLetterReason, DeferReason, SkipReason

RECORD_BYTES: Final = 850
"""Memory reckoned for a record besides its bytes: the object, its places in queues, its strings,
and what is written down of a deferral."""


class Now(NamedTuple):
    """One reading of the clock, passed to every decision.

    Attributes:
        monotonic: seconds, for durations.
        epoch_ms: milliseconds since 1970-01-01 UTC, for what is written down.
    """

    monotonic: float
    epoch_ms: int


class Partition(NamedTuple):
    """A partition of the events topic or of the deferred topic."""

    topic: str
    number: int


class LaneKey(NamedTuple):
    """What a lane is for: one Heap app."""

    region: Region
    app_id: str


@dataclass(slots=True, eq=False)
class Record:
    """A record read from Kafka and what is known of it.

    Attributes:
        partition: where it was read; with `offset`, its identity.
        key, value: as read; `value` is let go once the record is delivered or skipped.
        headers: as read; of deferred records only those that are not heapline's.
        source: `events`, `deferred` or `replay`.
        read_at: monotonic seconds.
        deferral: what its headers say, for records of the deferred topic.
        workspace, name: known once decoded; empty before.
        event_id: likewise, and let go once the record is settled.
        identity, body: what Heap gets; set when the event is eligible, and let go likewise.
        attempts, first_failure_ms: requests that carried it, and when the first failed.
        outcome: None while the record is waiting.
        letter: set with outcome *dead-lettered*: what the DLQ will say.
        next_deferral: set with outcome *deferred*: what the deferred topic will say.
        dropped: the partition was handed over; nothing settles this record here any more.
    """

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    source: Source
    read_at: float
    deferral: Deferral | None = None
    workspace: str = ""
    event_id: str = ""
    name: str = ""
    identity: str = ""
    body: bytes = b""
    attempts: int = 0
    first_failure_ms: int = 0
    outcome: Outcome | None = None
    reason: SkipReason | DeadLetterReason | DeferReason | None = None
    minute_ms: int = 0
    letter: DeadLetter | None = None
    next_deferral: Deferral | None = None
    dropped: bool = False

    def reckoned_bytes(self) -> int:
        """Give the memory this record is reckoned to hold."""
        return RECORD_BYTES + len(self.value or b"") + len(self.body)

    def drop(self) -> None:
        """Take note that the partition was handed over."""
        self.dropped = True

    def settle(
        self,
        outcome: Outcome,
        now: Now,
        reason: SkipReason | DeadLetterReason | DeferReason | None = None,
    ) -> None:
        """Write down what became of the record.

        Raises:
            ValueError: it was settled before; nothing is changed.
        """
        if self.outcome is not None:
            raise ValueError(f"{self.partition} {self.offset} is settled already: {self.outcome}")
        self.outcome = outcome
        self.reason = reason
        self.minute_ms = now.epoch_ms - now.epoch_ms % 60_000
        self.body, self.identity, self.event_id = b"", "", ""
        if outcome in (Outcome.DELIVERED, Outcome.SKIPPED):
            self.value = None


def key_text(key: bytes | None) -> str:
    """Give the workspace a key names; empty where it is no text."""
    try:
        return (key or b"").decode("utf-8")
    except UnicodeDecodeError:
        return ""
