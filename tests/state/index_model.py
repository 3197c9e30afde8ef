"""What an index should hold, as plain dictionaries; and the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heapline.memberships import SegmentRow
from state.index_writer import IndexWriter
from state.payload import KnownMemberships, KnownUsers
from state.raw_changes import RawChanges

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from heapline.memberships import MembershipReader, Memberships
    from state.index_writer import Staged


class Change(NamedTuple):
    """Somebody enters or leaves."""

    workspace: str
    user: str
    segment: str
    enters: bool
    at_ms: int
    sync: str | None = None


def raw_changes(changes: Iterable[Change]) -> RawChanges:
    """Put changes into columns."""
    return RawChanges.of(changes)


class IndexModel:
    """Memberships with their times, and everything known by name in the order of codes.

    Attributes:
        entered_at_ms: by workspace, user and segment.
        workspaces, users, segments: names, in the order of their codes.
        version: of the store that would have applied everything.
    """

    def __init__(self) -> None:
        self.entered_at_ms: dict[tuple[str, str, str], int] = {}
        self.workspaces: list[str] = []
        self.users: list[tuple[str, str]] = []
        self.segments: list[tuple[str, str]] = []
        self.version = 0

    def effective(self, changes: Iterable[Change]) -> list[Change]:
        """Apply changes; give those that changed something."""
        found = []
        for change in changes:
            name = (change.workspace, change.user, change.segment)
            if change.enters is (name in self.entered_at_ms):
                continue
            found.append(change)
            if change.enters:
                self.entered_at_ms[name] = change.at_ms
            else:
                del self.entered_at_ms[name]
        return found

    def learn(self, staged: Staged) -> None:
        """Take over what got a code."""
        self.workspaces += staged.new_workspaces
        users, segments = staged.new_users, staged.new_segments
        self.users += zip(self._names(users.workspace), users.user_id, strict=True)
        self.segments += zip(self._names(segments.workspace), segments.segment_id, strict=True)
        for names in (self.workspaces, self.users, self.segments):
            assert len(set(names)) == len(names), "a name has two codes"

    def decoded(self, staged: Staged) -> list[Change]:
        """Give staged changes by name."""
        changes = staged.changes
        syncs = [*changes.sync_id, None]
        columns = (changes.user, changes.segment, changes.enters, changes.at_ms, changes.sync)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Change(self.users[u][0], self.users[u][1], self.segments[s][1], enters, at_ms, syncs[y])
            for u, s, enters, at_ms, y in rows
        ]

    def publish(self, writer: IndexWriter, changes: Sequence[Change]) -> None:
        """Let a writer take changes, and see that it takes just those that change something."""
        staged = writer.stage(raw_changes(changes))
        self.learn(staged)
        assert self.decoded(staged) == self.effective(changes)
        self.version += 1
        writer.publish(staged, version=self.version, position={"m[0]": self.version}, as_of_ms=7)

    def erase(self, users: Collection[tuple[str, str]]) -> None:
        """Forget users, and number the others anew."""
        self.users = [user for user in self.users if user not in users]
        self.entered_at_ms = {
            name: at_ms for name, at_ms in self.entered_at_ms.items() if name[:2] not in users
        }
        self.version += 1

    def build(self, folder: Path, merge_bytes: int) -> IndexWriter:
        """Write all of it anew, as from a store."""
        user_codes = {user: code for code, user in enumerate(self.users)}
        segment_codes = {segment: code for code, segment in enumerate(self.segments)}
        rows = sorted(
            (segment_codes[workspace, segment], user_codes[workspace, user], at_ms)
            for (workspace, user, segment), at_ms in self.entered_at_ms.items()
        )
        workspaces = [self.workspaces.index(workspace) for workspace, _ in self.users]
        return IndexWriter.build(
            folder,
            self.workspaces,
            KnownUsers(
                np.array(workspaces, np.uint32),
                np.array([user for _, user in self.users], np.object_),
            ),
            [SegmentRow(*name) for name in self.segments],
            KnownMemberships.of(
                np.array([row[0] for row in rows], np.uint32),
                np.array([row[1] for row in rows], np.uint32),
                np.array([row[2] for row in rows], np.int64),
            ),
            version=self.version,
            merge_bytes=merge_bytes,
        )

    def compare(self, reader: MembershipReader, others: Iterable[str] = ()) -> None:
        """See that the newest generation answers every question as this does.

        Args:
            reader: asked itself, where it has an answer of its own.
            others: users who may be unknown.
        """
        view = reader.pinned()
        assert view.workspaces() == self.workspaces
        for workspace in self.workspaces:
            users = {user for name, user in self.users if name == workspace} | {*others}
            segments = [segment for name, segment in self.segments if name == workspace]
            assert [row.segment_id for row in view.segments(workspace)] == segments
            for user in users:
                self._compare_user(view, workspace, user, segments)
                found = sorted(reader.segments_of(workspace, user))
                assert found == sorted(view.segments_of(workspace, user))
                for segment in segments:
                    held = (workspace, user, segment) in self.entered_at_ms
                    assert reader.is_member(workspace, user, segment) is held
            for segment in segments:
                self._compare_segment(view, workspace, segment, sorted(users))

    def _compare_user(
        self, view: Memberships, workspace: str, user: str, segments: list[str]
    ) -> None:
        names = [(workspace, user, segment) for segment in segments]
        held = [name for name in names if name in self.entered_at_ms]
        assert view.segments_of(workspace, user) == [name[2] for name in held]
        assert view.memberships_of(workspace, user) == [
            (name[2], self.entered_at_ms[name]) for name in held
        ]
        for name in names:
            assert view.is_member(*name) is (name in self.entered_at_ms)
            assert view.entered_at_ms(*name) == self.entered_at_ms.get(name)
        unknown = "there is no such segment"
        assert view.check(workspace, [(user, each) for each in [*segments, unknown]]) == [
            *(name in self.entered_at_ms for name in names),
            None,
        ]

    def _compare_segment(
        self, view: Memberships, workspace: str, segment: str, users: list[str]
    ) -> None:
        held = [user for user in users if (workspace, user, segment) in self.entered_at_ms]
        assert view.count(workspace, segment) == len(held)
        assert sorted(view.members(workspace, segment)) == held
        assert view.check_users(workspace, users, segment) == [user in held for user in users]

    def _names(self, workspaces: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> list[str]:
        return [self.workspaces[code] for code in workspaces.tolist()]
