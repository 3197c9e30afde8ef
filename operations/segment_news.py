"""What has come from Heap for one workspace: its segments, and the pages that were put aside."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from consumers.segment_sync.segment_table import load_segments
from heapline.clock import SystemClock
from heapline.kafka.codec import Decoder
from heapline.kafka.topics import Names

if TYPE_CHECKING:
    from heapline.clock import Clock
    from heapline.heap.segment_record import HeapSegment, PageAside
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import KafkaSettings
    from heapline.words import Workspace

REMEMBERED_SECONDS: Final = 1.0
_COSTS: Final = 5.0
"""What was read is good for so many times the time that reading took: a large table is read less
often, however many pages of browsers ask."""


class SegmentNews(Protocol):
    """Asks for a workspace's segments."""

    def of(self, workspace: Workspace) -> tuple[HeapSegment, ...]:
        """Give them by name, as known a few seconds ago at most.

        Raises:
            TryAgainLater, NotReady: nobody can say now.
        """
        ...


class KafkaSegmentNews:
    """`SegmentNews` from `heap.segments`, read when asked; safe to share between threads."""

    def __init__(
        self, kafka: KafkaSettings, schemas: SchemaSource, clock: Clock | None = None
    ) -> None:
        self._kafka = kafka
        self._decoder = Decoder("HeapSegment", schemas)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._rows: tuple[HeapSegment, ...] = ()
        self._good_until = -1.0

    def of(self, workspace: Workspace) -> tuple[HeapSegment, ...]:
        """See `SegmentNews.of`."""
        own = [row for row in self.all() if row.workspace == workspace]
        return tuple(sorted(own, key=lambda row: (row.name, row.segment_id)))

    def all(self) -> tuple[HeapSegment, ...]:
        """Give the segments of all workspaces."""
        with self._lock:
            started = self._clock.monotonic()
            if started >= self._good_until:
                rows = load_segments(
                    self._kafka, Names(self._kafka.prefix), self._decoder, self._clock
                )
                self._rows = tuple(rows.values())
                now = self._clock.monotonic()
                self._good_until = now + REMEMBERED_SECONDS + _COSTS * (now - started)
            return self._rows


@dataclass(frozen=True, slots=True)
class Aside:
    """A page that should have changed somebody and did not, with what mends it."""

    segment_id: str
    segment_name: str
    at_ms: int
    reason: str
    repair: str


def asides_of(segment: HeapSegment) -> list[Aside]:
    """Give the latest pages that were put aside; none once the segment was drained since."""
    if not segment.has_gap:
        return []
    return [
        Aside(segment.segment_id, segment.name, each.at_ms, each.reason, repair(each))
        for each in segment.put_aside
    ]


def repair(aside: PageAside) -> str:
    """Say what to do about a page that was put aside."""
    return f"{_WHY.get(aside.reason, _UNKNOWN)} {_ANEW}"


_ANEW: Final = (
    "The segment may miss users until it is synced anew: in Heap, turn the segment's toggle for "
    "this integration off, wait for its drain, and turn it on again."
)
_UNKNOWN: Final = "A page was put aside."
_REFUSED: Final = (
    "Heap sent a page that means nothing, and it was refused for good. Tell Heap's support if it "
    "happens again."
)
_WHY: Final = {
    "too_old": "A page came so late that its sync is no longer known.",
    "not_retained": "A page came so late that the pages to compare it with are gone.",
    "undecodable": "A stored page cannot be read: was heapline downgraded?",
    "unknown_action": "Heap sent a call with an action this version does not know: is there a "
    "newer heapline?",
    "data_missing": _REFUSED,
    "segment_missing": _REFUSED,
    "neither_add_nor_remove": _REFUSED,
    "users_malformed": _REFUSED,
}
