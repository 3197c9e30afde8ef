"""Segment rows in the store: what `heap.segments` tells of segments and their syncs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from state.payload import SegmentFacts, SyncFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from state.database import Database

SYNCS_READ: Final = 64
"""Of one segment: `heap.segments` names 32, so none that still changes is missing."""
_NOTHING: Final = -1
_NULLABLE: Final = ("completed_at_ms", "total_pages")


def changed_syncs(row: SegmentFacts, known: SegmentFacts | None) -> list[SyncFacts]:
    """Give the syncs of a row that are not told yet."""
    told = _syncs(known)
    return [each for each in row.syncs if each not in told]


def with_syncs_of(row: SegmentFacts, known: SegmentFacts | None) -> SegmentFacts:
    """Give a row with the syncs that it no longer names, too."""
    named = {each.sync_id for each in row.syncs}
    older = [each for each in _syncs(known) if each.sync_id not in named]
    return replace(row, syncs=(*older, *row.syncs)[-SYNCS_READ:])


def write_segment_rows(
    database: Database,
    rows: Mapping[int, SegmentFacts],
    known: Mapping[int, SegmentFacts],
    syncs: Mapping[str, int],
) -> None:
    """Replace segment rows and the syncs they name; syncs they no longer name are kept.

    Args:
        database: the store, in a transaction.
        rows: by the segment's code.
        known: what is written of them.
        syncs: codes of all that `changed_syncs` gives.
    """
    for exists in (True, False):
        some = {code: row for code, row in rows.items() if (code in known) is exists}
        if some:
            columns = _row_columns(some)
            _write(database, "segment_row", ("segment",), columns, exists=exists)
    pairs = {
        (code, syncs[each.sync_id]): each
        for code, row in rows.items()
        for each in changed_syncs(row, known.get(code))
    }
    old = {(code, syncs.get(s.sync_id)) for code in rows for s in _syncs(known.get(code))}
    for exists in (True, False):
        part = {pair: each for pair, each in pairs.items() if (pair in old) is exists}
        if part:
            columns = _sync_columns(part)
            _write(database, "segment_sync", ("segment", "sync"), columns, exists=exists)


def _syncs(row: SegmentFacts | None) -> tuple[SyncFacts, ...]:
    return () if row is None else row.syncs


def _write(
    database: Database,
    table: str,
    key: tuple[str, ...],
    rows: dict[str, NDArray[Any]],
    *,
    exists: bool,
) -> None:
    values = {
        column: f"nullif(rows.{column}, {_NOTHING})" if column in _NULLABLE else f"rows.{column}"
        for column in rows
    }
    if exists:
        sets = ", ".join(f"{name} = {value}" for name, value in values.items() if name not in key)
        same = " AND ".join(f"t.{column} = rows.{column}" for column in key)
        sql = f"UPDATE stored.{table} AS t SET {sets} FROM rows WHERE {same}"
    else:
        sql = f"INSERT INTO stored.{table} SELECT {', '.join(values.values())} FROM rows"
    database.run(sql, rows=rows)


def _row_columns(by_code: Mapping[int, SegmentFacts]) -> dict[str, NDArray[Any]]:
    rows = by_code.values()
    return {
        "segment": np.array(list(by_code), np.uint32),
        "name": np.array([row.name for row in rows], np.object_),
        "status": np.array([row.status for row in rows], np.object_),
        "rhythm": np.array([row.rhythm for row in rows], np.object_),
        "has_gap": np.array([row.has_gap for row in rows], np.bool_),
        "updated_at_ms": np.array([row.updated_at_ms for row in rows], np.int64),
        "pages_partition": np.array([row.pages_partition for row in rows], np.int32),
        "pages_offset": np.array([row.pages_offset for row in rows], np.int64),
        "put_aside_count": np.array([row.put_aside_count for row in rows], np.int64),
    }


def _sync_columns(pairs: Mapping[tuple[int, int], SyncFacts]) -> dict[str, NDArray[Any]]:
    syncs = pairs.values()

    def numbers(values: list[int | None]) -> NDArray[np.int64]:
        return np.array([_NOTHING if each is None else each for each in values], np.int64)

    return {
        "segment": np.array([segment for segment, _ in pairs], np.uint32),
        "sync": np.array([sync for _, sync in pairs], np.int32),
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
    """Give all segment rows by the segment's code, each with its latest syncs, oldest first."""
    syncs: dict[int, list[SyncFacts]] = {}
    for segment, *facts in database.run(
        "SELECT s.segment, n.sync_id, s.* EXCLUDE (segment, sync) FROM stored.segment_sync AS s"
        " JOIN stored.sync AS n ON n.code = s.sync QUALIFY row_number() OVER"
        f" (PARTITION BY s.segment ORDER BY s.ordinal DESC) <= {SYNCS_READ}"
        " ORDER BY s.segment, s.ordinal"
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
