"""What a state folder says, by the index and by the store, for comparing with a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.memberships import MembershipReader
from state.folder import StateFolder
from state.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.consumers.materializer.replay import Members


def by_index(state: Path) -> Members:
    """Ask the index for all members of all segments."""
    reader = MembershipReader(StateFolder(state).index).pinned()
    found = {
        (workspace, row.segment_id): set(reader.members(workspace, row.segment_id))
        for workspace in reader.workspaces()
        for row in reader.segments(workspace)
    }
    return {name: users for name, users in found.items() if users}


def by_store(state: Path) -> Members:
    """Read the store's own tables; nobody may be writing."""
    with Store(StateFolder(state), 0) as store:
        names = store.workspaces()
        segments, users, memberships = store.segments(), store.users(), store.memberships()
    found: Members = {}
    for segment, user in zip(memberships.segment.tolist(), memberships.user.tolist(), strict=True):
        name = (names[int(segments.workspace[segment])], segments.segment_id[segment])
        assert segments.workspace[segment] == users.workspace[user]
        found.setdefault(name, set()).add(str(users.user_id[user]))
    return found
