"""A small index of memberships, written whole; for tests of what reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from state.index_writer import IndexWriter
from state.payload import KnownMemberships, KnownUsers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from heapline.memberships import SegmentRow

ENTERED_AT_MS = 1_769_851_800_000


def write_index(
    folder: Path,
    rows: Sequence[SegmentRow],
    members: Mapping[tuple[str, str], Iterable[str]],
    generation: int = 1,
    as_of_ms: int = 1_769_851_800_123,
) -> None:
    """Write one generation with these segments and their members; the first is number 1."""
    workspaces = list(dict.fromkeys(row.workspace for row in rows))
    users: dict[tuple[int, str], int] = {}
    pairs = [
        (code, users.setdefault((workspaces.index(row.workspace), user), len(users)))
        for code, row in enumerate(rows)
        for user in dict.fromkeys(members.get((row.workspace, row.segment_id), []))
    ]
    writer = IndexWriter.build(
        folder,
        workspaces,
        KnownUsers(
            np.array([workspace for workspace, _ in users], np.uint32),
            np.array([user for _, user in users], np.object_),
        ),
        rows,
        KnownMemberships.of(
            np.array([segment for segment, _ in pairs], np.uint32),
            np.array([user for _, user in pairs], np.uint32),
            np.full(len(pairs), ENTERED_AT_MS),
        ),
        version=generation,
        as_of_ms=as_of_ms,
    )
    with writer:
        assert writer.generation == generation, "generations are written one after the other"
