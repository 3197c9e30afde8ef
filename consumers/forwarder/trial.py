"""Finding the poison in a refused batch: halve it until each refused event stands alone.

Heap refuses a batch as a whole and does not say which event is to blame (Heap, Track reference:
the body of a 400 is `{}`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.forwarder.record import Record


@dataclass(slots=True, eq=False)
class Suspect:
    """An event refused on its own, with Heap's answer."""

    record: Record
    status: int
    body_excerpt: str


@dataclass(slots=True, eq=False)
class Trial:
    """One refused batch under examination.

    Attributes:
        size: events in the batch.
        delivered: how many of them need no more examination: Heap took them meanwhile.
        suspects: those refused alone.
        dissolved: the examination was given up; its events wait like all others.
    """

    size: int
    delivered: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    dissolved: bool = False

    @property
    def over(self) -> bool:
        """Whether every event has its answer."""
        return self.delivered + len(self.suspects) >= self.size

    def blames_workspace(self, share: float, minimum_events: int) -> bool:
        """Tell whether so much is poison that the workspace must be misconfigured.

        True early, when the first `minimum_events` examined are all poison.
        """
        refused = len(self.suspects)
        if refused < minimum_events:
            return False
        return self.delivered == 0 or (self.over and refused > share * self.size)

    def dissolve(self) -> list[Record]:
        """Give the examination up; give the suspects' records back."""
        self.dissolved = True
        records = [suspect.record for suspect in self.suspects]
        self.suspects.clear()
        return records


@dataclass(slots=True, eq=False)
class Part:
    """Records that go out together, as half of a request that was refused or too large."""

    records: list[Record]
    trial: Trial | None


def halves(records: list[Record], trial: Trial | None) -> tuple[Part, Part]:
    """Cut a refused request in two."""
    middle = len(records) // 2
    return Part(records[:middle], trial), Part(records[middle:], trial)
