"""What one transaction of the segment sync writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heapline.words import SegmentId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.heap.segment_record import HeapSegment

Key = tuple[Workspace, SegmentId]


@dataclass(frozen=True, slots=True)
class PageChanges:
    """Those who enter and leave by one page, or by one part of a drain; shown together.

    Attributes:
        at_ms: when the page was accepted.
        sync: the sync's id.
    """

    workspace: Workspace
    segment: SegmentId
    at_ms: int
    sync: str
    enters: Sequence[UserId] = ()
    leaves: Sequence[UserId] = ()

    def __len__(self) -> int:
        return len(self.enters) + len(self.leaves)


@dataclass(slots=True)
class Writes:
    """Changes, then the rows that name them, then the input's offsets.

    Attributes:
        pages: in the order of the input.
        rows: the newest row of each segment.
        offsets: for each partition of pages, where to go on.
    """

    pages: list[PageChanges] = field(default_factory=list)
    rows: dict[Key, HeapSegment] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    changes: int = 0

    def __bool__(self) -> bool:
        return bool(self.offsets or self.pages)

    def add(self, page: PageChanges) -> None:
        """Add a page's changes, if it has any."""
        if len(page):
            self.pages.append(page)
            self.changes += len(page)


def parts_of(page: PageChanges, most: int) -> list[PageChanges]:
    """Cut a page's changes into parts of at most so many; at least one, maybe empty."""
    cuts = range(0, max(1, len(page)), most)
    entering = len(page.enters)
    return [
        PageChanges(
            page.workspace,
            page.segment,
            page.at_ms,
            page.sync,
            page.enters[cut : cut + most],
            page.leaves[max(0, cut - entering) : max(0, cut + most - entering)],
        )
        for cut in cuts
    ]
