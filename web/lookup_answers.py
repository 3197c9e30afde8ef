"""Answers to lookups from one generation of the index, written as JSON.

No models on this path: an answer takes microseconds to find, and should take few to write. What
does not change within a generation is written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from web.lookup_times import time_text
from web.read_positions import newest_positions, position_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heapline.memberships import Audience, Memberships, SegmentRow, Unresolved


class Answer(NamedTuple):
    """One answer.

    Attributes:
        body: JSON.
        position: how far it has come, for `Heapline-Position`; empty where nothing was ever synced.
    """

    body: bytes
    position: str


class Answers:
    """What one generation answers.

    Attributes:
        view: the generation.
        age: how old it was, in steps, when segments were last looked at.
        etag: names it, on this server and on any other.
        as_of: when it was made, as text.
    """

    def __init__(self, view: Memberships, age: int = 0) -> None:
        self.view = view
        self.age = age
        # Each server counts generations for itself; with the time no two of them share a tag.
        generation, as_of_ms = view.freshness.generation, view.freshness.as_of_ms
        self.etag = f'"{generation:x}-{as_of_ms:x}-{age:x}"'
        self.as_of = time_text(view.freshness.as_of_ms) or ""
        self._workspaces: dict[str, WorkspaceAnswers] = {}

    def workspace(self, workspace: str) -> WorkspaceAnswers:
        """Give the answers about one workspace.

        Raises:
            UnknownWorkspace: it is not connected.
        """
        found = self._workspaces.get(workspace)
        if found is None:
            found = self._workspaces[workspace] = WorkspaceAnswers(self.view, workspace)
        return found


class WorkspaceAnswers:
    """What one generation answers about one workspace.

    Raises:
        UnknownWorkspace: it is not connected.
        UnknownSegment: by every question about one segment the workspace has not synced.
    """

    def __init__(self, view: Memberships, workspace: str) -> None:
        self._view = view
        self._workspace = workspace
        rows = view.segments(workspace)
        self._rows = {row.segment_id: row for row in rows}
        self._position = newest_positions(rows)
        self._doubtful = [row.segment_id for row in rows if row.doubtful]
        self._written: dict[str, orjson.Fragment] = {}
        self._positions: dict[str, str] = {}

    def segments(self) -> Answer:
        """List all segments."""
        segments = [self._described(segment) for segment in self._rows]
        return Answer(orjson.dumps({"segments": segments}), self._position)

    def segments_of(self, user: str) -> Answer:
        """List the segments a user is in."""
        segments = [
            {
                "id": segment,
                "name": self._rows[segment].name,
                "entered_at": _moment(entered_at_ms),
                "stale": self._rows[segment].stale,
            }
            for segment, entered_at_ms in self._view.memberships_of(self._workspace, user)
        ]
        body = {"segments": segments, "doubtful": self._doubtful}
        return Answer(orjson.dumps(body), self._position)

    def member(self, segment: str, user: str) -> Answer:
        """Tell whether a user is in a segment."""
        entered_at_ms = self._view.entered_at_ms(self._workspace, user, segment)
        if self._rows[segment].disconnected:
            entered_at_ms = None
        body = {
            "member": None if self._rows[segment].disconnected else entered_at_ms is not None,
            "entered_at": _moment(entered_at_ms),
            "segment": self._described(segment),
        }
        return Answer(orjson.dumps(body), self._position_of(segment))

    def members(self, segment: str, cursor: str | None, limit: int) -> Answer:
        """List some members.

        Raises:
            InvalidCursor: start the listing again.
        """
        page = self._view.members_page(self._workspace, segment, cursor, limit)
        body = {
            "members": page.users,
            "next_cursor": page.cursor,
            "segment": self._described(segment),
        }
        return Answer(orjson.dumps(body), self._position_of(segment))

    def check(self, users: Sequence[str], segments: Sequence[str]) -> Answer:
        """Tell for many pairs, in two columns of one length."""
        held = self._view.check_columns(self._workspace, users, segments)
        results = [
            {"user": user, "segment": segment, "member": member}
            for user, segment, member in zip(users, segments, held, strict=True)
        ]
        doubtful = self._doubtful_among(segments)
        return Answer(orjson.dumps({"results": results, "doubtful": doubtful}), self._position)

    def evaluate(self, audience: Audience, users: Sequence[str]) -> Answer:
        """Tell for many users whether they are in an audience."""
        evaluations = self._view.evaluate_users(self._workspace, audience, users)
        results = [
            {
                "user": user,
                "result": each.result,
                "unresolved": [_unresolved(one) for one in each.unresolved],
            }
            for user, each in zip(users, evaluations, strict=True)
        ]
        doubtful = self._doubtful_among(audience.segments)
        return Answer(orjson.dumps({"results": results, "doubtful": doubtful}), self._position)

    def count(self, audience: Audience) -> Answer:
        """Count an audience."""
        counted = self._view.count_audience(self._workspace, audience)
        body = {
            "match": counted.match,
            "no_match": counted.no_match,
            "undecided": counted.undecided,
            "unresolved": [_unresolved(one) for one in counted.unresolved],
            "doubtful": counted.doubtful,
        }
        return Answer(orjson.dumps(body), self._position)

    def _described(self, segment: str) -> orjson.Fragment:
        written = self._written.get(segment)
        if written is None:
            count = self._view.count(self._workspace, segment)
            body = segment_fields(self._rows[segment], count)
            written = self._written[segment] = orjson.Fragment(orjson.dumps(body))
        return written

    def _position_of(self, segment: str) -> str:
        found = self._positions.get(segment)
        if found is None:
            found = self._positions[segment] = position_of(self._rows[segment])
        return found

    def _doubtful_among(self, segments: Sequence[str]) -> list[str]:
        if not self._doubtful:
            return []
        named = set(segments)
        return [segment for segment in self._doubtful if segment in named]


def segment_fields(row: SegmentRow, member_count: int) -> dict[str, Any]:
    """Describe a segment, for JSON."""
    return {
        "id": row.segment_id,
        "name": row.name,
        "member_count": member_count,
        "status": status_of(row),
        "rhythm": row.rhythm,
        "last_synced_at": time_text(row.last_synced_at_ms),
        "stale": row.stale,
    }


def status_of(row: SegmentRow) -> str:
    """Give a segment's status.

    `partial` also where a page of an older sync was put aside, and `disconnected` where it belongs
    to an environment that was left.
    """
    if row.disconnected:
        return "disconnected"
    return "partial" if row.has_gap and row.status == "complete" else row.status


def _unresolved(given: Unresolved) -> dict[str, str]:
    return {
        "path": given.path,
        "type": given.type,
        "reason": given.reason,
        "detail": given.detail,
    }


def _moment(entered_at_ms: int | None) -> str | None:
    """Write since when somebody is in; an index that does not know says 0."""
    return time_text(entered_at_ms) if entered_at_ms else None
