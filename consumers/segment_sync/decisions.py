"""What a page means, given what is known of its segment; pure.

The order of a segment's syncs is the order in which their first pages stand in the topic. A page of
the newest sync is applied as it is. A late page, of an older sync, changes only users whom no newer
sync has named, be it as a removal of somebody who was not in; a drain names everybody. So whatever
order pages arrive in, and however often, the segment ends as if the syncs had been applied whole,
in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from heapline.heap.segment_page import Action, digest_of
from heapline.heap.segment_record import (
    HeapSegment,
    PageAside,
    Rhythm,
    SeenPage,
    SegmentStatus,
    SegmentSync,
    SyncKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.heap.segment_page import SegmentPage
    from heapline.words import UserId

SYNCS_KEPT: Final = 32
OLDER_KEPT: Final = 512
"""Digests of syncs that left the list: a page of one is put aside and not taken for a new sync."""
ASIDE_KEPT: Final = 20
RETRY_MS: Final = 60 * 60_000
"""So long the same page without a sync's id, or a second drain, is a retry."""
RHYTHM_MS: Final = 4 * 3_600_000
RHYTHM_TOLERANCE_MS: Final = 30 * 60_000
"""Heap's recurring sync runs every four hours."""


_NAMELESS: Final = {SyncKind.DRAIN: "drain@", SyncKind.PAGE: "page@"}


class Place(NamedTuple):
    """Where a page stands in `heap.segment-sync-pages`."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The page was taken into account before: nobody changes."""

    segment: HeapSegment


@dataclass(frozen=True, slots=True)
class Aside:
    """The page should have changed somebody and cannot: it is put aside, and shown.

    Attributes:
        reason: a short stable name.
    """

    segment: HeapSegment
    reason: str


@dataclass(frozen=True, slots=True)
class Apply:
    """The page's users enter and leave.

    Attributes:
        segment: as it is once they have; without `memberships_offset`, which only the log knows.
        sync: the sync's id.
        enters, leaves: no user is in both.
    """

    segment: HeapSegment
    sync: str
    enters: tuple[UserId, ...]
    leaves: tuple[UserId, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """The page is late: who was named by newer syncs must be read again, from `from_offset` on.

    Attributes:
        page: as it came.
        sync: the sync's id.
        newer: ids of the syncs whose pages count.
    """

    page: SegmentPage
    at: Place
    sync: str
    newer: frozenset[str]
    from_offset: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Everybody leaves: the members of today must be read.

    Attributes:
        segment: as it is once they have.
        sync: the drain's id.
    """

    segment: HeapSegment
    sync: str


Decision: TypeAlias = Duplicate | Aside | Apply | Late | Drain


def decide(segment: HeapSegment | None, page: SegmentPage, at: Place) -> Decision:
    """Decide what a page means.

    Args:
        segment: what is known of it; None before its first page.
        page: the page.
        at: where it stands.
    """
    known = _touched(segment, page, at)
    if page.action is Action.REFUSED:
        return _aside(known, page, at, page.refusal or "refused")
    if page.action is Action.DRAIN:
        return _drain(known, page, at)
    if page.sync_task_id is None:
        return _nameless(known, page, at)
    return _of_sync(known, page, at, page.sync_task_id)


def undecodable(segment: HeapSegment | None, blank: SegmentPage, at: Place, reason: str) -> Aside:
    """Put a page aside of which only the key and the time could be read."""
    return _aside(_touched(segment, blank, at), blank, at, reason)


def decide_late(segment: HeapSegment, late: Late, named: Iterable[UserId] | None) -> Apply | Aside:
    """Decide about a late page, knowing whom newer syncs have named.

    Args:
        segment: what is known of it.
        late: what `decide` said.
        named: the users; None where those pages are not retained any more.
    """
    known = _touched(segment, late.page, late.at)
    if named is None:
        return _aside(known, late.page, late.at, "not_retained")
    passed = frozenset(named)
    enters, leaves = _users(late.page)
    return _applied(
        known,
        _sync_by_id(known, late.sync),
        late.page,
        tuple(user for user in enters if user not in passed),
        tuple(user for user in leaves if user not in passed),
    )


def sync_id_of(page: SegmentPage, at: Place) -> str:
    """Give the id of the sync a page belongs to."""
    if page.action is Action.DRAIN:
        return page.sync_task_id or f"{_NAMELESS[SyncKind.DRAIN]}{at.partition}/{at.offset}"
    return page.sync_task_id or f"{_NAMELESS[SyncKind.PAGE]}{at.partition}/{at.offset}"


# --- the kinds of pages ---------------------------------------------------------------------------


def _drain(known: HeapSegment, page: SegmentPage, at: Place) -> Decision:
    if page.sync_task_id is None:
        repeated = _repeated(known, SyncKind.DRAIN, page, digest=None)
    else:
        gone = digest_of(page.sync_task_id.encode()) in known.older_syncs
        repeated = gone or any(sync.id == page.sync_task_id for sync in known.syncs)
    if repeated:
        return Duplicate(known)
    begun = _begun(known, page, at, SyncKind.DRAIN)
    sync = replace(begun.syncs[-1], completed_at_ms=page.received_at_ms, total_pages=1)
    drained = replace(begun, syncs=(*begun.syncs[:-1], sync), has_gap=False, rhythm=Rhythm.UNKNOWN)
    return Drain(_judged(drained), sync.id)


def _nameless(known: HeapSegment, page: SegmentPage, at: Place) -> Decision:
    if _repeated(known, SyncKind.PAGE, page, digest=page.digest):
        return Duplicate(known)
    begun = _begun(known, page, at, SyncKind.PAGE)
    return _applied(begun, begun.syncs[-1], page, *_users(page))


def _of_sync(known: HeapSegment, page: SegmentPage, at: Place, sync_id: str) -> Decision:
    found = next((sync for sync in known.syncs if sync.id == sync_id), None)
    if found is None:
        if digest_of(sync_id.encode()) in known.older_syncs:
            return _aside(known, page, at, "too_old")
        begun = _begun(known, page, at, SyncKind.SYNC)
        return _applied(begun, begun.syncs[-1], page, *_users(page))
    if any(seen.digest == page.digest for seen in found.pages):
        return Duplicate(known)
    newer = [sync for sync in known.syncs if sync.ordinal > found.ordinal]
    if not newer:
        return _applied(known, found, page, *_users(page))
    if any(sync.kind is SyncKind.DRAIN for sync in newer):
        return _applied(known, found, page, (), ())
    ids = frozenset(sync.id for sync in newer)
    return Late(page, at, found.id, ids, min(sync.first_offset for sync in newer))


def _repeated(known: HeapSegment, kind: SyncKind, page: SegmentPage, digest: int | None) -> bool:
    """Tell whether a page that names no sync was here within the hour."""
    return any(
        sync.kind is kind
        and sync.id.startswith(_NAMELESS[kind])
        and page.received_at_ms - sync.started_at_ms <= RETRY_MS
        and (digest is None or any(seen.digest == digest for seen in sync.pages))
        for sync in known.syncs
    )


# --- what follows for the segment -----------------------------------------------------------------


def _touched(segment: HeapSegment | None, page: SegmentPage, at: Place) -> HeapSegment:
    """Take note that the page was looked at, whatever it means."""
    if segment is None:
        return HeapSegment(
            page.workspace,
            page.segment_id,
            page.received_at_ms,
            at.partition,
            at.offset,
            SegmentStatus.PARTIAL,
            name=page.segment_name,
        )
    return replace(
        segment,
        name=page.segment_name or segment.name,
        updated_at_ms=max(segment.updated_at_ms, page.received_at_ms),
        pages_partition=at.partition,
        pages_offset=at.offset,
    )


def _begun(known: HeapSegment, page: SegmentPage, at: Place, kind: SyncKind) -> HeapSegment:
    """Begin a sync; the oldest leaves a full list."""
    sync = SegmentSync(
        id=sync_id_of(page, at),
        ordinal=known.syncs[-1].ordinal + 1 if known.syncs else 1,
        kind=kind,
        first_offset=at.offset,
        started_at_ms=page.received_at_ms,
        last_page_at_ms=page.received_at_ms,
    )
    leaving = known.syncs[: max(0, len(known.syncs) + 1 - SYNCS_KEPT)]
    older = (*known.older_syncs, *(digest_of(each.id.encode()) for each in leaving))
    return replace(
        known,
        syncs=(*known.syncs[len(leaving) :], sync),
        older_syncs=older[-OLDER_KEPT:],
        has_gap=known.has_gap or any(_matters(known, each) for each in leaving),
        rhythm=_rhythm(known, sync),
    )


def _matters(known: HeapSegment, sync: SegmentSync) -> bool:
    """Tell whether a sync misses pages that would still count."""
    drained_since = any(
        each.kind is SyncKind.DRAIN and each.ordinal > sync.ordinal for each in known.syncs
    )
    return sync.completed_at_ms is None and not drained_since


def _rhythm(known: HeapSegment, sync: SegmentSync) -> Rhythm:
    if sync.kind is SyncKind.DRAIN or not known.syncs:
        return Rhythm.UNKNOWN
    before = known.syncs[-1]
    apart_ms = sync.started_at_ms - before.started_at_ms
    regular = abs(apart_ms - RHYTHM_MS) <= RHYTHM_TOLERANCE_MS
    return Rhythm.RECURRING if regular and before.kind is not SyncKind.DRAIN else known.rhythm


def _applied(
    known: HeapSegment,
    sync: SegmentSync,
    page: SegmentPage,
    enters: tuple[UserId, ...],
    leaves: tuple[UserId, ...],
) -> Apply:
    """Count a page toward its sync."""
    total = page.total_pages if page.total_pages is not None else sync.total_pages
    number = page.page_number or len(sync.pages) + 1
    pages = (*sync.pages, SeenPage(number, page.digest))
    after = replace(
        sync,
        last_page_at_ms=max(sync.last_page_at_ms, page.received_at_ms),
        total_pages=total,
        adds=sync.adds + len(enters),
        removes=sync.removes + len(leaves),
        skipped=sync.skipped + page.skipped,
        pages=pages,
    )
    if len({seen.number for seen in pages if seen.number <= (total or 1)}) >= (total or 1):
        after = replace(after, completed_at_ms=sync.completed_at_ms or page.received_at_ms)
    else:  # a later page may say that there are more than it seemed
        after = replace(after, completed_at_ms=None)
    syncs = tuple(after if each.id == sync.id else each for each in known.syncs)
    return Apply(_judged(replace(known, syncs=syncs)), sync.id, enters, leaves)


def _aside(known: HeapSegment, page: SegmentPage, at: Place, reason: str) -> Aside:
    aside = PageAside(page.received_at_ms, at.offset, reason, page.sync_task_id)
    after = replace(
        known,
        has_gap=True,
        put_aside_count=known.put_aside_count + 1,
        put_aside=(*known.put_aside, aside)[-ASIDE_KEPT:],
    )
    return Aside(_judged(after), reason)


def _judged(segment: HeapSegment) -> HeapSegment:
    """Say how whole the members are."""
    newest = segment.syncs[-1] if segment.syncs else None
    if newest is not None and newest.kind is SyncKind.DRAIN and not segment.has_gap:
        status = SegmentStatus.DRAINED
    elif newest is not None and newest.completed_at_ms is None:
        status = SegmentStatus.SYNCING
    elif newest is None or segment.has_gap or any(_matters(segment, s) for s in segment.syncs):
        status = SegmentStatus.PARTIAL
    else:
        status = SegmentStatus.COMPLETE
    return replace(segment, status=status)


# --- pages ----------------------------------------------------------------------------------------


def _users(page: SegmentPage) -> tuple[tuple[UserId, ...], tuple[UserId, ...]]:
    """Give who enters and who leaves; a removal wins over an addition."""
    leaves = frozenset(page.remove)
    return tuple(user for user in page.add if user not in leaves), page.remove


def _sync_by_id(segment: HeapSegment, sync_id: str) -> SegmentSync:
    return next(sync for sync in segment.syncs if sync.id == sync_id)
