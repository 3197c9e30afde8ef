"""A segment's record as the assembler, the store and the index want it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from heapline.heap.segment_record import SegmentStatus, SyncKind
from heapline.memberships.segments import SegmentRow
from state.payload import SegmentFacts, SyncFacts

if TYPE_CHECKING:
    from heapline.heap.segment_record import HeapSegment, SegmentSync


@dataclass(frozen=True, slots=True)
class VisibleRow:
    """A segment's row, and when it may be shown; see `assembler.Row`.

    Attributes:
        facts: the row.
        memberships_partition, memberships_offset: shown once everything up to there is.
    """

    facts: SegmentFacts
    memberships_partition: int
    memberships_offset: int

    @property
    def key(self) -> tuple[str, str]:
        """Workspace and segment id."""
        return self.facts.workspace, self.facts.segment_id


def visible_row(segment: HeapSegment, memberships_partition: int) -> VisibleRow:
    """Take a record's facts; what only the segment sync consumer needs stays behind."""
    facts = SegmentFacts(
        workspace=segment.workspace,
        segment_id=segment.segment_id,
        name=segment.name,
        status=segment.status.value,
        rhythm=segment.rhythm.value,
        has_gap=segment.has_gap,
        updated_at_ms=segment.updated_at_ms,
        pages_partition=segment.pages_partition,
        pages_offset=segment.pages_offset,
        put_aside_count=segment.put_aside_count,
        syncs=tuple(map(_sync_facts, segment.syncs)),
    )
    return VisibleRow(facts, memberships_partition, segment.memberships_offset)


def _sync_facts(sync: SegmentSync) -> SyncFacts:
    return SyncFacts(
        sync_id=sync.id,
        ordinal=sync.ordinal,
        kind=sync.kind.value,
        started_at_ms=sync.started_at_ms,
        last_page_at_ms=sync.last_page_at_ms,
        completed_at_ms=sync.completed_at_ms,
        pages_seen=len(sync.pages),
        total_pages=sync.total_pages,
        adds=sync.adds,
        removes=sync.removes,
        skipped=sync.skipped,
    )


def shown(row: SegmentFacts, left_at_ms: int | None = None) -> SegmentRow:
    """Give a row as lookups show it; they tell what time makes of it.

    Args:
        row: as the store has it.
        left_at_ms: when its workspace went over to another environment of Heap's; None where it
            never did.
    """
    is_left = left_at_ms is not None and row.updated_at_ms < left_at_ms
    synced = [sync.last_page_at_ms for sync in row.syncs if sync.kind != SyncKind.DRAIN]
    newest = max(row.syncs, key=attrgetter("ordinal"), default=None)
    return SegmentRow(
        workspace=row.workspace,
        segment_id=row.segment_id,
        name=row.name,
        status=row.status,
        rhythm=row.rhythm,
        last_synced_at_ms=max(synced, default=None),
        pages_partition=row.pages_partition,
        pages_offset=row.pages_offset,
        last_page_at_ms=None if newest is None else newest.last_page_at_ms,
        has_gap=row.has_gap,
        disconnected=is_left and row.status != SegmentStatus.DRAINED,
    )


class NewestRows:
    """Lets no older row of a segment follow a newer one.

    After a restart rows are read again from the oldest that waited; those behind it were applied.
    """

    def __init__(self, applied: list[SegmentFacts]) -> None:
        self._newest = {(row.workspace, row.segment_id): _place(row) for row in applied}

    def newer(self, rows: list[VisibleRow]) -> list[SegmentFacts]:
        """Give those not older than what was applied, and take them for applied."""
        found = []
        for row in rows:
            partition, offset = _place(row.facts)
            before = self._newest.get(row.key, (partition, -1))
            # Another partition: the topic of pages was made anew, and offsets tell nothing.
            if partition == before[0] and offset < before[1]:
                continue
            self._newest[row.key] = (partition, offset)
            found.append(row.facts)
        return found


def _place(row: SegmentFacts) -> tuple[int, int]:
    return row.pages_partition, row.pages_offset
