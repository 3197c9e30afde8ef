"""From what was read to what the store and the index take: codes, and only what changes anything.

Only an enter makes a user, a segment or a workspace known, or the row of a segment: somebody who
leaves without having been in leaves no trace.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from heapline.memberships.keys import key_groups
from state.index_pairs import pairs_of
from state.payload import NO_SYNC, Changes, NewSegments, NewUsers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.keys import KeyGroup

_UNKNOWN: Final = -1
SegmentName = tuple[str, str]
"""A workspace, and the id of one of its segments."""


@dataclass(frozen=True, slots=True)
class RawChanges:
    """Enters and leaves as read, as columns of one length, in the order in which they happened.

    Attributes:
        workspace, user, segment: ids, as text.
        enters: True for an enter, False for a leave.
        at_ms: when the page was accepted, since 1970-01-01 UTC.
        sync: which sync said so; None where none was named.
    """

    workspace: Sequence[str] = ()
    user: Sequence[str] = ()
    segment: Sequence[str] = ()
    enters: Sequence[bool] = ()
    at_ms: Sequence[int] = ()
    sync: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.user)


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
    enters = np.fromiter(raw.enters, np.bool_, len(raw))
    names = _Names(known)
    segment = names.of_changes(raw, enters)
    for name in segments:
        names.code(name)
    users = _Users(known, names)
    user = users.of_changes(raw, enters)
    rows = np.flatnonzero((segment >= 0) & (user >= 0))
    rows = rows[_effective(known, user[rows], segment[rows], enters[rows])]
    return Staged(
        known.generation,
        names.new_workspaces,
        users.new_users(),
        names.new_segments(),
        _changes(raw, rows, user, segment, enters),
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

    def of_changes(self, raw: RawChanges, enters: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Give each change's segment, negative where nobody ever entered it."""
        named = list(zip(raw.workspace, raw.segment, strict=True))
        for name in dict.fromkeys(itertools.compress(named, enters.tolist())):
            self.code(name)
        codes = {each: self._code_of(each) for each in set(named)}
        return np.fromiter(map(codes.__getitem__, named), np.int64, len(named))

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
        self._new: dict[tuple[int, str], int] = {}

    def of_changes(self, raw: RawChanges, enters: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Give each change's user, negative where the user was never in anything."""
        if not len(raw):
            return np.empty(0, np.int64)
        workspaces = self._workspaces(raw)
        codes = np.full(len(raw), _UNKNOWN, np.int64)
        rows = np.flatnonzero(workspaces >= 0)
        if not rows.size:
            return codes
        users = raw.user if rows.size == len(raw) else [raw.user[row] for row in rows.tolist()]
        groups = list(key_groups(users, workspaces[rows]))
        codes[rows] = self._known.find_users(groups, rows.size)
        self._add(raw, workspaces, codes, enters)
        return codes

    def _workspaces(self, raw: RawChanges) -> NDArray[np.int64]:
        names, new = self._known.workspace_codes, set(self._names.new_workspaces)
        codes = {
            each: self._names.workspace(each) if each in names or each in new else _UNKNOWN
            for each in set(raw.workspace)
        }
        return np.fromiter(map(codes.__getitem__, raw.workspace), np.int64, len(raw))

    def _add(
        self,
        raw: RawChanges,
        workspaces: NDArray[np.int64],
        codes: NDArray[np.int64],
        enters: NDArray[np.bool_],
    ) -> None:
        rows = np.flatnonzero((codes < 0) & (workspaces >= 0))
        if not rows.size:
            return
        users = map(raw.user.__getitem__, rows.tolist())
        names = list(zip(workspaces[rows].tolist(), users, strict=True))
        entering = dict.fromkeys(itertools.compress(names, enters[rows].tolist()))
        first = self._known.user_count
        self._new = {name: first + place for place, name in enumerate(entering)}
        given = map(self._new.get, names, itertools.repeat(_UNKNOWN))
        codes[rows] = np.fromiter(given, np.int64, len(names))

    def new_users(self) -> NewUsers:
        """Give those that are new, in the order of their codes."""
        workspaces = np.array([workspace for workspace, _ in self._new], np.uint32)
        return NewUsers(workspaces, [user for _, user in self._new])


def _effective(
    known: Contents,
    user: NDArray[np.int64],
    segment: NDArray[np.int64],
    enters: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Tell which changes find the opposite of what they say."""
    pairs = pairs_of(user, segment)
    order = np.argsort(pairs, kind="stable")
    before = np.empty(pairs.size, np.bool_)
    before[1:] = enters[order][:-1]
    first = np.ones(pairs.size, np.bool_)
    first[1:] = np.diff(pairs[order]) != 0
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
    enters: NDArray[np.bool_],
) -> Changes:
    kept = rows.tolist()
    syncs = [raw.sync[row] for row in kept]
    named = [each for each in dict.fromkeys(syncs) if each is not None]
    places: dict[str | None, int] = {sync_id: place for place, sync_id in enumerate(named)}
    places[None] = NO_SYNC
    return Changes(
        user=user[rows].astype(np.uint32),
        segment=segment[rows].astype(np.uint32),
        enters=enters[rows],
        at_ms=np.fromiter(raw.at_ms, np.int64, len(raw))[rows],
        sync=np.fromiter(map(places.__getitem__, syncs), np.int32, len(syncs)),
        sync_id=named,
    )
