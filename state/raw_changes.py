"""Enters and leaves as they were read: columns in which what repeats stands as a code.

Thousands of neighbours are of one segment and one sync. So both stand as places in small lists;
users, who differ, in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from state.payload import NO_SYNC
from state.user_ids import UserIds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SegmentName = tuple[str, str]
"""A workspace, and the id of one of its segments."""
Fact = tuple[str, str, str, bool, int, str | None]
"""One change: workspace, user, segment, whether it is an enter, when, and by which sync."""
_T = TypeVar("_T")
_NO_PLACES: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class RawChanges:
    """Changes in the order in which they happened; all columns are of one length.

    Attributes:
        user: ids.
        names: distinct workspaces and segments; no change need be of them.
        name: for each change a place in `names` (int32).
        enters: True for an enter, False for a leave (bool).
        at_ms: when the page was accepted, since 1970-01-01 UTC (int64).
        syncs: distinct ids of syncs, likewise.
        sync: for each change a place in `syncs`, `NO_SYNC` where none was named (int32).
    """

    user: UserIds = field(default_factory=UserIds)
    names: Sequence[SegmentName] = ()
    name: NDArray[np.int32] = field(default_factory=lambda: _NO_PLACES)
    enters: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    at_ms: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    syncs: Sequence[str] = ()
    sync: NDArray[np.int32] = field(default_factory=lambda: _NO_PLACES)

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> RawChanges:
        """Take changes one by one."""
        rows = list(facts)
        if not rows:
            return cls()
        workspace, user, segment, enters, at_ms, sync = zip(*rows, strict=True)
        names: dict[SegmentName, int] = {}
        name = [names.setdefault(each, len(names)) for each in zip(workspace, segment, strict=True)]
        syncs: dict[str, int] = {}
        places = [NO_SYNC if each is None else syncs.setdefault(each, len(syncs)) for each in sync]
        return cls(
            UserIds.of(user),
            list(names),
            np.array(name, np.int32),
            np.array(enters, np.bool_),
            np.array(at_ms, np.int64),
            list(syncs),
            np.array(places, np.int32),
        )

    @classmethod
    def joined(cls, parts: Sequence[RawChanges]) -> RawChanges:
        """Put changes one behind the other."""
        if len(parts) <= 1:
            return parts[0] if parts else cls()
        users = UserIds.joined([part.user for part in parts])
        names, name = _joined([(part.names, part.name) for part in parts])
        syncs, sync = _joined([(part.syncs, part.sync) for part in parts])
        enters = np.concatenate([part.enters for part in parts])
        at_ms = np.concatenate([part.at_ms for part in parts])
        return cls(users, names, name, enters, at_ms, syncs, sync)

    def part(self, start: int, stop: int) -> RawChanges:
        """Give some neighbours."""
        if start == 0 and stop >= len(self):
            return self
        rows = slice(start, stop)
        return RawChanges(
            self.user.part(start, stop),
            self.names,
            self.name[rows],
            self.enters[rows],
            self.at_ms[rows],
            self.syncs,
            self.sync[rows],
        )

    def where(self, kept: NDArray[np.bool_]) -> RawChanges:
        """Leave the others out."""
        rows = np.flatnonzero(kept)
        return RawChanges(
            self.user.at(rows),
            self.names,
            self.name[rows],
            self.enters[rows],
            self.at_ms[rows],
            self.syncs,
            self.sync[rows],
        )

    def facts(self) -> list[Fact]:
        """Give them one by one, for what is rare and for tests."""
        syncs = [*self.syncs, None]  # NO_SYNC is the last place
        return [
            (*_spread(self.names[name], user), enters, at_ms, syncs[sync])
            for name, user, enters, at_ms, sync in zip(
                self.name.tolist(),
                self.user,
                self.enters.tolist(),
                self.at_ms.tolist(),
                self.sync.tolist(),
                strict=True,
            )
        ]


def _spread(name: SegmentName, user: str) -> tuple[str, str, str]:
    return name[0], user, name[1]


def _joined(
    parts: Sequence[tuple[Sequence[_T], NDArray[np.int32]]],
) -> tuple[Sequence[_T], NDArray[np.int32]]:
    """Bring columns of places in several lists to places in one."""
    first = parts[0][0]
    if all(words is first for words, _ in parts):
        return first, np.concatenate([places for _, places in parts])
    known: dict[_T, int] = {}
    columns: list[NDArray[Any]] = []
    for words, places in parts:
        codes = [known.setdefault(word, len(known)) for word in words]
        # NO_SYNC is -1, and so the last of the codes.
        columns.append(np.array([*codes, NO_SYNC], np.int32)[places])
    return list(known), np.concatenate(columns)
