"""An index of memberships of a chosen size, for measurements that read one."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heapline.memberships import SegmentRow
from state.index_writer import IndexWriter
from state.payload import KnownMemberships, KnownUsers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEGMENTS: Final = 50
USERS: Final = 1_000_000
SHARE: Final = 0.2
"""Of all users who are in a segment: 50 segments of a million users hold ten million."""
_ASKED: Final = 20_000
_FIRST_MS: Final = 1_750_000_000_000
_RHYTHM_MS: Final = 4 * 3_600_000
_SYNCS: Final = 500


class Filled(NamedTuple):
    """An index to ask.

    Attributes:
        state: the state folder it is in.
        workspace: the only one.
        segments: ids.
        users: ids of some users.
        memberships: how many there are.
    """

    state: Path
    workspace: str
    segments: Sequence[str]
    users: Sequence[str]
    memberships: int


def filled_index(
    state: Path,
    users: int = USERS,
    segments: int = SEGMENTS,
    asked: int = _ASKED,
    share: float = SHARE,
) -> Filled:
    """Write an index of one workspace, the same for the same numbers; `asked` users are given."""
    chance, numbers = random.Random(users), np.random.default_rng(users)
    ids = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(users)]
    rows = [
        SegmentRow("acme", str(1_000 + each), f"Segment {each}", "complete", "recurring")
        for each in range(segments)
    ]
    members = [np.flatnonzero(numbers.random(users) < share) for _ in rows]
    user = np.concatenate(members).astype(np.uint32)
    sizes = [each.size for each in members]
    segment = np.repeat(np.arange(segments, dtype=np.uint32), sizes)
    entered = _FIRST_MS + numbers.integers(0, _SYNCS, user.size) * _RHYTHM_MS
    with IndexWriter.build(
        state / "index",
        ["acme"],
        KnownUsers(np.zeros(users, np.uint32), np.array(ids, np.object_)),
        rows,
        KnownMemberships.of(segment, user, entered.astype(np.int64)),
        as_of_ms=_FIRST_MS + _SYNCS * _RHYTHM_MS,
    ):
        pass
    some = chance.sample(ids, min(asked, users))
    return Filled(state, "acme", [row.segment_id for row in rows], some, int(user.size))
