"""From what was read to what the store and the index take: codes, and only what changes anything.

Only an enter makes a user, a segment or a workspace known, or the row of a segment: somebody who
leaves without having been in leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from state.index_new_users import first_entering
from state.index_pairs import in_order, pairs_of
from state.payload import NO_SYNC, Changes, NewSegments, NewUsers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.keys import KeyGroup
    from state.raw_changes import RawChanges, SegmentName

_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Staged:
    """What a batch comes to, on top of one generation.

    Attributes:
        generation: the one it goes on top of.
        new_workspaces, new_users, new_segments: what takes the next codes.
        changes: those that change something.
    """

    generation: int
    new_workspaces: list[str] = field(default_factory=list)
    new_users: NewUsers = field(default_factory=NewUsers)
    new_segments: NewSegments = field(default_factory=NewSegments)
    changes: Changes = field(default_factory=Changes)


class Contents(Protocol):
    """What a generation knows."""

    @property
    def generation(self) -> int:
        """Its number."""
        ...

    @property
    def workspace_codes(self) -> Mapping[str, int]:
        """All workspaces."""
        ...

    @property
    def segment_codes(self) -> Mapping[SegmentName, int]:
        """All segments."""
        ...

    @property
    def user_count(self) -> int:
        """How many users are known: the next user's code."""
        ...

    def find_users(self, groups: Sequence[KeyGroup], count: int) -> NDArray[np.int64]:
        """Give the codes of a column of users, negative where one is unknown."""
        ...

    def holds(self, users: NDArray[np.int64], segments: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for pairs of codes, none negative, whether the user is in the segment."""
        ...


def stage(known: Contents, raw: RawChanges, segments: Iterable[SegmentName] = ()) -> Staged:
    """Give codes, and leave out what changes nothing.

    Args:
        known: the generation to go on top of; unchanged.
        raw: what was read; a pair may occur several times, and order counts.
        segments: names of those whose rows are to be published with it.
    """
    names = _Names(known)
    segment = names.of_changes(raw)
    for name in segments:
        names.code(name)
    users = _Users(known, names)
    user = users.of_changes(raw)
    rows = np.flatnonzero((segment >= 0) & (user >= 0))
    rows = rows[_effective(known, user[rows], segment[rows], raw.enters[rows])]
    return Staged(
        known.generation,
        names.new_workspaces,
        users.new_users(),
        names.new_segments(),
        _changes(raw, rows, user, segment),
    )


class _Names:
    """Codes of workspaces and segments, old and new."""

    def __init__(self, known: Contents) -> None:
        self._known = known
        self._workspaces: dict[str, int] = {}
        self._segments: dict[SegmentName, int] = {}

    @property
    def new_workspaces(self) -> list[str]:
        return list(self._workspaces)

    def workspace(self, name: str) -> int:
        """Give a workspace's code, which may be a new one."""
        code = self._known.workspace_codes.get(name)
        if code is None:
            following = len(self._known.workspace_codes) + len(self._workspaces)
            code = self._workspaces.setdefault(name, following)
        return code

    def code(self, name: SegmentName) -> int:
        """Give a segment's code, which may be a new one."""
        code = self._known.segment_codes.get(name)
        if code is None:
            self.workspace(name[0])
            following = len(self._known.segment_codes) + len(self._segments)
            code = self._segments.setdefault(name, following)
        return code

    def of_changes(self, raw: RawChanges) -> NDArray[np.int64]:
        """Give each change's segment, negative where nobody ever entered it."""
        for place in _in_order(raw.name[raw.enters]):
            self.code(raw.names[place])
        codes = np.array([self._code_of(each) for each in raw.names], np.int64)
        return codes[raw.name] if codes.size else np.empty(0, np.int64)

    def _code_of(self, name: SegmentName) -> int:
        known = self._known.segment_codes.get(name)
        return self._segments.get(name, _UNKNOWN) if known is None else known

    def new_segments(self) -> NewSegments:
        """Give those that are new, in the order of their codes."""
        workspaces = [self.workspace(workspace) for workspace, _ in self._segments]
        return NewSegments(
            np.array(workspaces, np.uint32), [segment for _, segment in self._segments]
        )


class _Users:
    """Codes of users, old and new."""

    def __init__(self, known: Contents, names: _Names) -> None:
        self._known = known
        self._names = names
        self._new_users = NewUsers()

    def of_changes(self, raw: RawChanges) -> NDArray[np.int64]:
        """Give each change's user, negative where the user was never in anything."""
        if not len(raw):
            return np.empty(0, np.int64)
        workspaces = self._workspaces(raw)
        codes = np.full(len(raw), _UNKNOWN, np.int64)
        rows = np.flatnonzero(workspaces >= 0)
        if not rows.size:
            return codes
        users = raw.user if rows.size == len(raw) else raw.user.at(rows)
        groups = list(users.key_groups(_one_if_alike(workspaces[rows])))
        found = self._known.find_users(groups, rows.size)
        codes[rows] = found
        unknown = found < 0
        if unknown.any():
            first = first_entering(groups, unknown, raw.enters[rows])
            self._add(raw, workspaces, codes, rows, first)
        return codes

    def _workspaces(self, raw: RawChanges) -> NDArray[np.int64]:
        names, new = self._known.workspace_codes, set(self._names.new_workspaces)
        codes = [
            self._names.workspace(each) if each in names or each in new else _UNKNOWN
            for each, _ in raw.names
        ]
        return np.array(codes, np.int64)[raw.name]

    def _add(
        self,
        raw: RawChanges,
        workspaces: NDArray[np.int64],
        codes: NDArray[np.int64],
        rows: NDArray[np.int64],
        first: NDArray[np.int64],
    ) -> None:
        """Give codes to new users, in the order in which they enter."""
        new = np.flatnonzero(first >= 0)
        enters_first = np.zeros(rows.size, np.bool_)
        enters_first[first[new]] = True
        entering = np.flatnonzero(enters_first)
        codes[rows[new]] = np.searchsorted(entering, first[new]) + self._known.user_count
        chosen = rows[entering]
        ids = raw.user.at(chosen).texts()
        self._new_users = NewUsers(workspaces[chosen].astype(np.uint32), ids)

    def new_users(self) -> NewUsers:
        """Give those that are new, in the order of their codes."""
        return self._new_users


def _one_if_alike(codes: NDArray[np.int64]) -> int | NDArray[np.int64]:
    one = int(codes[0])
    return one if (codes == one).all() else codes


def _effective(
    known: Contents,
    user: NDArray[np.int64],
    segment: NDArray[np.int64],
    enters: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Tell which changes find the opposite of what they say."""
    pairs = pairs_of(user, segment)
    order, ordered = in_order(pairs)
    before = np.empty(pairs.size, np.bool_)
    before[1:] = enters[order][:-1]
    first = np.ones(pairs.size, np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    rows = order[first]
    before[first] = known.holds(user[rows], segment[rows])
    effective = np.empty(pairs.size, np.bool_)
    effective[order] = before != enters[order]
    return effective


def _changes(
    raw: RawChanges,
    rows: NDArray[np.int64],
    user: NDArray[np.int64],
    segment: NDArray[np.int64],
) -> Changes:
    sync = raw.sync[rows]
    named = _in_order(sync[sync != NO_SYNC])
    places = np.full(len(raw.syncs) + 1, NO_SYNC, np.int32)
    places[named] = np.arange(len(named))
    return Changes(
        user=user[rows].astype(np.uint32),
        segment=segment[rows].astype(np.uint32),
        enters=raw.enters[rows],
        at_ms=raw.at_ms[rows],
        sync=places[sync],
        sync_id=[raw.syncs[place] for place in named],
    )


def _in_order(places: NDArray[np.int32]) -> list[int]:
    """Give the distinct places of a column, in the order of their first appearance."""
    if not places.size:
        return []
    changes = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    return list(dict.fromkeys(places[changes].tolist()))
