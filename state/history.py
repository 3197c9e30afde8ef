"""Replaying the history: what the memberships were at any version of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from state.contents import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from state.database import Database

_LOW: Final = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Memberships as pairs of codes, `segment << 32 | person`, ascending.

    Attributes:
        pairs: uint64.
        at_ms: when each was entered (int64).
    """

    pairs: NDArray[np.uint64]
    at_ms: NDArray[np.int64]

    @property
    def segment(self) -> NDArray[np.int64]:
        """The segment's code of each."""
        return (self.pairs >> np.uint64(32)).astype(np.int64)

    @property
    def person(self) -> NDArray[np.int64]:
        """The user's code of each."""
        return (self.pairs & _LOW).astype(np.int64)


def replay(database: Database, version: int) -> tuple[Held, int]:
    """Tell what the memberships were at a version, from nothing but enters and leaves.

    Returns:
        The memberships, and how many changes are not enters and leaves by turns.
    """
    moments = database.columns("SELECT at_ms, version FROM stored.moment ORDER BY code")
    rows = database.columns(
        "SELECT (segment::UBIGINT << 32) | person AS pair, enters, moment FROM stored.history"
    )
    pairs, enters = plain(rows["pair"], np.uint64), plain(rows["enters"], np.bool_)
    moment = plain(rows["moment"], np.uint32)
    was_there = plain(moments["version"], np.int64) <= version
    if not was_there.all():
        known = was_there[moment]
        pairs, enters, moment = pairs[known], enters[known], moment[known]
    order = np.argsort(pairs, kind="stable")
    pairs, enters = pairs[order], enters[order]
    goes_on = np.empty(pairs.size, np.bool_)
    goes_on[:1], goes_on[1:] = False, pairs[1:] == pairs[:-1]
    out_of_turn = int(np.count_nonzero(goes_on[1:] & (enters[1:] == enters[:-1])))
    out_of_turn += int(np.count_nonzero(~goes_on & ~enters))
    is_last = np.append(~goes_on[1:], np.ones(min(1, pairs.size), np.bool_))
    held = is_last & enters
    at_ms = plain(moments["at_ms"], np.int64)[moment[order[held]]]
    return Held(pairs[held], at_ms), out_of_turn


def held_now(database: Database) -> Held:
    """Read the memberships themselves."""
    moments = database.columns("SELECT at_ms FROM stored.moment ORDER BY code")
    rows = database.columns(
        "SELECT (segment::UBIGINT << 32) | person AS pair, moment FROM stored.membership"
    )
    pairs, moment = plain(rows["pair"], np.uint64), plain(rows["moment"], np.uint32)
    order = np.argsort(pairs, kind="stable")
    return Held(pairs[order], plain(moments["at_ms"], np.int64)[moment[order]])
