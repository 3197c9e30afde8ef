"""What is known of one segment besides its members; field by field `avro/HeapSegment.avsc`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.words import SegmentId, Workspace


class SyncKind(StrEnum):
    """What a sync came as."""

    SYNC = "sync"
    PAGE = "page"
    """A page that named no sync, and is one of its own."""
    DRAIN = "drain"


class SegmentStatus(StrEnum):
    """How whole a segment's members are."""

    SYNCING = "syncing"
    COMPLETE = "complete"
    PARTIAL = "partial"
    DRAINED = "drained"


class Rhythm(StrEnum):
    """How a segment is synced."""

    RECURRING = "recurring"
    ONCE = "once"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page that was taken into account."""

    number: int
    digest: int


@dataclass(frozen=True, slots=True)
class SegmentSync:
    """One sync, drain, or page that named no sync; see the contract for each field."""

    id: str
    ordinal: int
    kind: SyncKind
    first_offset: int
    started_at_ms: int
    last_page_at_ms: int
    completed_at_ms: int | None = None
    total_pages: int | None = None
    adds: int = 0
    removes: int = 0
    skipped: int = 0
    pages: tuple[SeenPage, ...] = ()


@dataclass(frozen=True, slots=True)
class PageAside:
    """A page that changed nobody and should have."""

    at_ms: int
    pages_offset: int
    reason: str
    sync_id: str | None = None


@dataclass(frozen=True, slots=True)
class HeapSegment:
    """One segment as its last page left it; see the contract for each field."""

    workspace: Workspace
    segment_id: SegmentId
    updated_at_ms: int
    pages_partition: int
    pages_offset: int
    status: SegmentStatus
    name: str = ""
    memberships_offset: int = -1
    rhythm: Rhythm = Rhythm.UNKNOWN
    has_gap: bool = False
    syncs: tuple[SegmentSync, ...] = ()
    older_syncs: tuple[int, ...] = ()
    put_aside_count: int = 0
    put_aside: tuple[PageAside, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> HeapSegment:
        """Make one from a decoded Avro record.

        Raises:
            ValueError: a status, rhythm or kind this version does not know.
        """
        return cls(
            workspace=record["workspace"],
            segment_id=record["segment_id"],
            updated_at_ms=record["updated_at"],
            pages_partition=record["pages_partition"],
            pages_offset=record["pages_offset"],
            status=SegmentStatus(record["status"]),
            name=record["name"],
            memberships_offset=record["memberships_offset"],
            rhythm=Rhythm(record["rhythm"]),
            has_gap=record["has_gap"],
            syncs=tuple(map(_sync, record["syncs"])),
            older_syncs=tuple(record["older_syncs"]),
            put_aside_count=record["put_aside_count"],
            put_aside=tuple(
                PageAside(each["at"], each["pages_offset"], each["reason"], each["sync_id"])
                for each in record["put_aside"]
            ),
        )

    def to_record(self) -> dict[str, Any]:
        """Give the Avro record."""
        return {
            "workspace": self.workspace,
            "segment_id": self.segment_id,
            "name": self.name,
            "updated_at": self.updated_at_ms,
            "pages_partition": self.pages_partition,
            "pages_offset": self.pages_offset,
            "memberships_offset": self.memberships_offset,
            "status": self.status.value,
            "rhythm": self.rhythm.value,
            "has_gap": self.has_gap,
            "syncs": [_sync_record(each) for each in self.syncs],
            "older_syncs": list(self.older_syncs),
            "put_aside_count": self.put_aside_count,
            "put_aside": [
                {
                    "at": each.at_ms,
                    "pages_offset": each.pages_offset,
                    "reason": each.reason,
                    "sync_id": each.sync_id,
                }
                for each in self.put_aside
            ],
        }


def _sync(record: Mapping[str, Any]) -> SegmentSync:
    return SegmentSync(
        id=record["id"],
        ordinal=record["ordinal"],
        kind=SyncKind(record["kind"]),
        first_offset=record["first_offset"],
        started_at_ms=record["started_at"],
        last_page_at_ms=record["last_page_at"],
        completed_at_ms=record["completed_at"],
        total_pages=record["total_pages"],
        adds=record["adds"],
        removes=record["removes"],
        skipped=record["skipped"],
        pages=tuple(SeenPage(each["number"], each["digest"]) for each in record["pages"]),
    )


def _sync_record(sync: SegmentSync) -> dict[str, Any]:
    return {
        "id": sync.id,
        "ordinal": sync.ordinal,
        "kind": sync.kind.value,
        "first_offset": sync.first_offset,
        "started_at": sync.started_at_ms,
        "last_page_at": sync.last_page_at_ms,
        "completed_at": sync.completed_at_ms,
        "total_pages": sync.total_pages,
        "adds": sync.adds,
        "removes": sync.removes,
        "skipped": sync.skipped,
        "pages": [{"number": each.number, "digest": each.digest} for each in sync.pages],
    }
