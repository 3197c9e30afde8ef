"""What a publisher says about the events it was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from heapline.errors import HeaplineError, KafkaUnavailable
from heapline.words import EventId

DeliveryReport = Callable[[EventId, HeaplineError | None], None]
"""Called once for each accepted event: None as the error means that the brokers hold it. Must not
raise, and must not take long: it is called while others wait."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one event of many.

    Attributes:
        event_id: its id; None where it was no event.
        error: None where the brokers acknowledged it; `InvalidEvent` where it was refused;
            otherwise why the brokers did not acknowledge it.
    """

    event_id: EventId | None
    error: HeaplineError | None = None

    @property
    def accepted(self) -> bool:
        """Whether the brokers hold the event."""
        return self.error is None


class Tally:
    """Collects what became of many events, in the order of their slots."""

    def __init__(self) -> None:
        self.open = 0
        self._slots: list[Slot] = []
        self._when_settled: Callable[[], None] | None = None

    def slot(self) -> Slot:
        """Open a slot for one more event."""
        self.open += 1
        self._slots.append(Slot(self))
        return self._slots[-1]

    def when_settled(self, call: Callable[[], None]) -> None:
        """Have something called when no slot is open; there must be no more slots to come."""
        self._when_settled = call
        self.note()

    def note(self) -> None:
        """Look whether all is settled."""
        if self.open == 0 and self._when_settled is not None:
            self._when_settled()

    def published(self) -> list[Published]:
        """Give all results; an open slot is one whose acknowledgement did not come in time."""
        return [slot.published() for slot in self._slots]


@dataclass(slots=True)
class Slot:
    """One event of a `Tally`."""

    tally: Tally = field(repr=False)
    event_id: EventId | None = None
    error: HeaplineError | None = None
    is_settled: bool = False

    def settle(self, error: HeaplineError | None) -> None:
        """Close the slot."""
        if not self.is_settled:
            self.is_settled, self.error = True, error
            self.tally.open -= 1
            self.tally.note()

    def report(self, _: EventId, error: HeaplineError | None) -> None:
        """Close the slot; a `DeliveryReport`."""
        self.settle(error)

    def published(self) -> Published:
        """Give the result so far."""
        if self.is_settled:
            return Published(self.event_id, self.error)
        return Published(
            self.event_id, KafkaUnavailable("the brokers have not acknowledged it yet")
        )


class NotAcknowledged(KafkaUnavailable):
    """Some events were not acknowledged by the brokers.

    Attributes:
        waiting: events still queued; another flush may yet deliver them.
        failed: events given up since the last flush; publish them again. A derived event id makes
            that harmless.
    """

    def __init__(self, waiting: int, failed: int, cause: HeaplineError | None) -> None:
        parts = [
            f"{count} {what}"
            for count, what in ((waiting, "still waiting"), (failed, "given up"))
            if count
        ]
        because = f": {cause}" if cause else ""
        counts = f"{waiting + failed} events ({', '.join(parts)})"
        super().__init__(f"Kafka did not acknowledge {counts}{because}")
        self.waiting = waiting
        self.failed = failed
