"""Segment rows in the store: what `heap.segments` tells of segments and their syncs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from state.applying import sync_codes
from state.payload import SegmentFacts, SyncFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from state.database import Database

_NOTHING: Final = -1
_NULLABLE: Final = ("completed_at_ms", "total_pages")


def write_segment_rows(
    database: Database,
    rows: Sequence[SegmentFacts],
    codes: Mapping[tuple[str, str], int],
    next_sync: int,
) -> int:
    """Replace segment rows and the syncs they name; syncs they no longer name are kept.

    Args:
        database: the store, in a transaction.
        rows: at most one a segment.
        codes: of segments, by workspace and segment id.
        next_sync: the next sync's code.

    Returns:
        The next sync's code after them.

    Raises:
        ValueError: a segment has no code.
    """
    if not rows:
        return next_sync
    unknown = [row for row in rows if (row.workspace, row.segment_id) not in codes]
    if unknown:
        raise ValueError(f"the segment row of {unknown[0].segment_id!r} needs a code first")
    segments = [codes[row.workspace, row.segment_id] for row in rows]
    _replace(database, "segment_row", ("segment",), _row_columns(rows, segments))
    pairs = [(s, each) for s, row in zip(segments, rows, strict=True) for each in row.syncs]
    named, next_sync = sync_codes(database, [each.sync_id for _, each in pairs], next_sync)
    if pairs:
        _replace(database, "segment_sync", ("segment", "sync"), _sync_columns(pairs, named))
    return next_sync


def _replace(
    database: Database, table: str, key: tuple[str, ...], rows: dict[str, NDArray[Any]]
) -> None:
    same = " AND ".join(f"t.{column} = rows.{column}" for column in key)
    database.run(f"DELETE FROM stored.{table} AS t USING rows WHERE {same}", rows=rows)
    columns = ", ".join(
        f"nullif({column}, {_NOTHING})" if column in _NULLABLE else column for column in rows
    )
    database.run(f"INSERT INTO stored.{table} SELECT {columns} FROM rows", rows=rows)


def _row_columns(rows: Sequence[SegmentFacts], segments: list[int]) -> dict[str, NDArray[Any]]:
    return {
        "segment": np.array(segments, np.uint32),
        "name": np.array([row.name for row in rows], np.object_),
        "status": np.array([row.status for row in rows], np.object_),
        "rhythm": np.array([row.rhythm for row in rows], np.object_),
        "has_gap": np.array([row.has_gap for row in rows], np.bool_),
        "updated_at_ms": np.array([row.updated_at_ms for row in rows], np.int64),
        "pages_partition": np.array([row.pages_partition for row in rows], np.int32),
        "pages_offset": np.array([row.pages_offset for row in rows], np.int64),
        "put_aside_count": np.array([row.put_aside_count for row in rows], np.int64),
    }


def _sync_columns(
    pairs: list[tuple[int, SyncFacts]], named: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    syncs = [each for _, each in pairs]

    def numbers(values: list[int | None]) -> NDArray[np.int64]:
        return np.array([_NOTHING if each is None else each for each in values], np.int64)

    return {
        "segment": np.array([segment for segment, _ in pairs], np.uint32),
        "sync": named,
        "ordinal": numbers([each.ordinal for each in syncs]),
        "kind": np.array([each.kind for each in syncs], np.object_),
        "started_at_ms": numbers([each.started_at_ms for each in syncs]),
        "last_page_at_ms": numbers([each.last_page_at_ms for each in syncs]),
        "completed_at_ms": numbers([each.completed_at_ms for each in syncs]),
        "pages_seen": numbers([each.pages_seen for each in syncs]),
        "total_pages": numbers([each.total_pages for each in syncs]),
        "adds": numbers([each.adds for each in syncs]),
        "removes": numbers([each.removes for each in syncs]),
        "skipped": numbers([each.skipped for each in syncs]),
    }


def read_segment_rows(database: Database) -> dict[int, SegmentFacts]:
    """Give all segment rows by the segment's code, each with all its syncs, oldest first."""
    syncs: dict[int, list[SyncFacts]] = {}
    for segment, *facts in database.run(
        "SELECT s.segment, n.sync_id, s.* EXCLUDE (segment, sync) FROM stored.segment_sync AS s"
        " JOIN stored.sync AS n ON n.code = s.sync ORDER BY s.segment, s.ordinal"
    ).rows:
        syncs.setdefault(segment, []).append(SyncFacts(*facts))
    rows = database.run(
        "SELECT r.segment, w.workspace, s.segment_id, r.* EXCLUDE (segment)"
        " FROM stored.segment_row AS r JOIN stored.segment AS s ON s.code = r.segment"
        " JOIN stored.workspace AS w ON w.code = s.workspace"
    ).rows
    known = {segment: SegmentFacts(*facts) for segment, *facts in rows}
    return {
        segment: replace(facts, syncs=tuple(syncs.get(segment, ())))
        for segment, facts in known.items()
    }
