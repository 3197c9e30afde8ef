"""What one transaction of the store takes: new codes, changes, segment rows, counts, positions.

Workspaces, users and segments are known by codes: dense from 0, in the order of their first
appearance, and the same in the store and in the index. Whatever is new in a payload takes the next
codes, in the order in which it stands here. Arrays of one class have one length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NO_SYNC: Final = -1
"""Stands for the sync of a change that named none."""


@dataclass(frozen=True, slots=True, eq=False)
class NewUsers:
    """Users who appear for the first time.

    Attributes:
        workspace: codes (uint32); those of `Payload.new_workspaces` may be among them.
        user_id: as text.
    """

    workspace: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    user_id: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True, slots=True, eq=False)
class NewSegments:
    """Segments that appear for the first time, be it in a change or in a segment row.

    Attributes:
        workspace: codes (uint32).
        segment_id: as text.
    """

    workspace: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    segment_id: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.segment_id)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Users entering and leaving segments, in the order in which it happened.

    All are effective: an enter is of somebody who was not in just before, a leave of somebody who
    was. A pair may occur several times, and then enters and leaves by turns.

    Attributes:
        user: codes (uint32).
        segment: codes (uint32).
        enters: True for an enter, False for a leave (bool).
        at_ms: when the page was accepted, since 1970-01-01 UTC (int64).
        sync: places in `sync_id`, `NO_SYNC` where none was named (int32).
        sync_id: the distinct syncs named, as text; the store gives them codes of its own.
    """

    user: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    segment: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    enters: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    at_ms: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sync: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    sync_id: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, slots=True)
class SyncFacts:
    """One sync of a segment, as `heap.segments` tells it.

    Attributes:
        sync_id: Heap's id of it, or the name given to a page or drain without one.
        ordinal: from 1; later ones win.
        kind: `sync`, `page` or `drain`.
        started_at_ms, last_page_at_ms: when its first and its latest page were accepted.
        completed_at_ms: when its last missing page was; None while pages are missing.
        pages_seen: how many came.
        total_pages: how many there are, where it was said.
        adds, removes, skipped: users its pages added, removed, and named without a usable id.
    """

    sync_id: str
    ordinal: int
    kind: str
    started_at_ms: int
    last_page_at_ms: int
    completed_at_ms: int | None = None
    pages_seen: int = 0
    total_pages: int | None = None
    adds: int = 0
    removes: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """A segment besides its members, as its record in `heap.segments` tells it.

    Attributes:
        workspace: whose, as text.
        segment_id: as text; known to the store, or in `Payload.new_segments`.
        name: Heap's name; empty where none was ever told.
        status: `syncing`, `complete`, `partial` or `drained` when it was written.
        rhythm: `recurring` or `unknown` when it was written.
        has_gap: some page was put aside: members may be wrong until it is drained and synced anew.
        updated_at_ms: when the page it takes into account was accepted.
        pages_partition, pages_offset: where that page stands.
        put_aside_count: how many pages were put aside, ever.
        syncs: the most recent, oldest first; those the store knows from before are kept.
    """

    workspace: str
    segment_id: str
    name: str
    status: str
    rhythm: str
    has_gap: bool
    updated_at_ms: int
    pages_partition: int
    pages_offset: int
    put_aside_count: int = 0
    syncs: tuple[SyncFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeFacts:
    """How many records of one kind had one outcome in one minute; adds to what is known.

    Attributes:
        workspace: as text; empty for records that name none.
        source, event, outcome, reason: as in `OutcomeCounts`; no reason is None.
        minute_ms: the minute of the outcome, since 1970-01-01 UTC.
        count: at least 1.
    """

    workspace: str
    source: str
    event: str
    outcome: str
    reason: str | None
    minute_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Payload:
    """One transaction.

    Attributes:
        now_ms: the wall time of applying it.
        positions: for each topic and partition read, the offset to go on at.
        new_workspaces, new_users, new_segments: what takes the next codes.
        changes: enters and leaves.
        segments: segment rows, at most one a segment.
        outcomes: outcome counts.
    """

    now_ms: int
    positions: Mapping[tuple[str, int], int] = field(default_factory=dict)
    new_workspaces: list[str] = field(default_factory=list)
    new_users: NewUsers = field(default_factory=NewUsers)
    new_segments: NewSegments = field(default_factory=NewSegments)
    changes: Changes = field(default_factory=Changes)
    segments: tuple[SegmentFacts, ...] = ()
    outcomes: tuple[OutcomeFacts, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class KnownUsers:
    """All users, in the order of their codes.

    Attributes:
        workspace: codes (uint32).
        user_id: as text (object).
    """

    workspace: NDArray[np.uint32]
    user_id: NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class KnownMemberships:
    """All memberships, by segment and user ascending.

    Attributes:
        segment: codes (uint32).
        user: codes (uint32).
        moments: distinct times since 1970-01-01 UTC, ascending (int64); not all need be used.
        moment: for each membership when the user entered, as a place in `moments` (uint32).
    """

    segment: NDArray[np.uint32]
    user: NDArray[np.uint32]
    moments: NDArray[np.int64]
    moment: NDArray[np.uint32]

    @classmethod
    def of(
        cls,
        segment: NDArray[np.uint32],
        user: NDArray[np.uint32],
        entered_at_ms: NDArray[np.int64],
    ) -> KnownMemberships:
        """Take them with a time each."""
        moments, moment = np.unique(entered_at_ms, return_inverse=True)
        return cls(segment, user, moments, moment.astype(np.uint32))

    @property
    def entered_at_ms(self) -> NDArray[np.int64]:
        """For each when the user entered, since 1970-01-01 UTC."""
        return self.moments[self.moment]


@dataclass(frozen=True, slots=True, eq=False)
class KnownSegments:
    """All segments, in the order of their codes.

    Attributes:
        workspace: codes (uint32).
        segment_id: as text.
        facts: what their latest rows told; None for a segment without one yet.
    """

    workspace: NDArray[np.uint32]
    segment_id: list[str]
    facts: list[SegmentFacts | None]
