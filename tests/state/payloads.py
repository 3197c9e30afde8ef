"""Payloads for tests, from plain facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from state.payload import (
    NO_SYNC,
    Changes,
    NewSegments,
    NewUsers,
    OutcomeFacts,
    Payload,
    SegmentFacts,
    SyncFacts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from state.store import Store

    Change = tuple[str, str, str, bool, int, str | None]
    """Workspace, user, segment, whether it enters, when, and the sync."""


class Coder:
    """Gives codes in the order of first appearance, as the index does."""

    def __init__(self) -> None:
        self.workspaces: dict[str, int] = {}
        self.users: dict[tuple[str, str], int] = {}
        self.segments: dict[tuple[str, str], int] = {}

    @classmethod
    def of(cls, store: Store) -> Coder:
        """Go on where a store stands."""
        coder = cls()
        names = store.workspaces()
        coder.workspaces = {name: code for code, name in enumerate(names)}
        users, segments = store.users(), store.segments()
        pairs = zip(users.workspace.tolist(), users.user_id.tolist(), strict=True)
        coder.users = {(names[w], user): code for code, (w, user) in enumerate(pairs)}
        named = zip(segments.workspace.tolist(), segments.segment_id, strict=True)
        coder.segments = {(names[w], segment): code for code, (w, segment) in enumerate(named)}
        return coder

    def payload(
        self,
        changes: Sequence[Change] = (),
        *,
        segments: tuple[SegmentFacts, ...] = (),
        outcomes: tuple[OutcomeFacts, ...] = (),
        positions: Mapping[tuple[str, int], int] | None = None,
        now_ms: int = 1_000,
    ) -> Payload:
        """Give a payload of effective changes, with the codes it needs."""
        known = len(self.workspaces), len(self.users), len(self.segments)
        for workspace, segment in [
            *((change[0], change[2]) for change in changes),
            *((row.workspace, row.segment_id) for row in segments),
        ]:
            self.workspaces.setdefault(workspace, len(self.workspaces))
            self.segments.setdefault((workspace, segment), len(self.segments))
        for workspace, user, *_ in changes:
            self.users.setdefault((workspace, user), len(self.users))
        new_users, new_segments = list(self.users)[known[1] :], list(self.segments)[known[2] :]
        return Payload(
            now_ms=now_ms,
            positions=positions or {},
            new_workspaces=list(self.workspaces)[known[0] :],
            new_users=NewUsers(self._codes(new_users), [user for _, user in new_users]),
            new_segments=NewSegments(self._codes(new_segments), [each for _, each in new_segments]),
            changes=self._changes(changes),
            segments=segments,
            outcomes=outcomes,
        )

    def _codes(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        return np.array([self.workspaces[workspace] for workspace, _ in pairs], np.uint32)

    def _changes(self, changes: Sequence[Change]) -> Changes:
        named = list(dict.fromkeys(change[5] for change in changes if change[5] is not None))
        syncs = [NO_SYNC if change[5] is None else named.index(change[5]) for change in changes]
        return Changes(
            user=np.array([self.users[change[0], change[1]] for change in changes], np.uint32),
            segment=np.array(
                [self.segments[change[0], change[2]] for change in changes], np.uint32
            ),
            enters=np.array([change[3] for change in changes], np.bool_),
            at_ms=np.array([change[4] for change in changes], np.int64),
            sync=np.array(syncs, np.int32),
            sync_id=named,
        )


def members(store: Store) -> dict[tuple[str, str, str], int]:
    """Give all memberships of a store: workspace, user and segment to the time of entering."""
    names, users, segments = store.workspaces(), store.users(), store.segments()
    held = store.memberships()
    return {
        (names[users.workspace[user]], users.user_id[user], segments.segment_id[segment]): at
        for segment, user, at in zip(
            held.segment.tolist(), held.user.tolist(), held.entered_at_ms.tolist(), strict=True
        )
    }


def segment_facts(
    workspace: str = "acme",
    segment: str = "S1",
    name: str = "Power users",
    *,
    offset: int = 0,
    syncs: tuple[SyncFacts, ...] = (),
) -> SegmentFacts:
    """Give a segment's row."""
    return SegmentFacts(
        workspace=workspace,
        segment_id=segment,
        name=name,
        status="complete",
        rhythm="recurring",
        has_gap=False,
        updated_at_ms=1_000 + offset,
        pages_partition=0,
        pages_offset=offset,
        syncs=syncs,
    )
