"""Writing the store's file anew: in order and without holes, and without users who were erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from state.swapping import attach, discard, leap, prepare, swap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from state.database import Database
    from state.store import Store

_AS_THEY_ARE: Final = (
    "workspace",
    "segment",
    "sync",
    "moment",
    "segment_row",
    "segment_sync",
    "position",
    "topic",
)
_SUMMED: Final = (
    "SELECT workspace, source, event, outcome, reason, minute_ms, sum(records)"
    " FROM heapline.stored.outcome GROUP BY ALL ORDER BY minute_ms"
)
_KEPT: Final = """
CREATE OR REPLACE TEMP TABLE kept AS
SELECT code AS old, (row_number() OVER (ORDER BY code) - 1)::UINTEGER AS new
FROM heapline.stored.person ANTI JOIN erased USING (code)
"""


def shrink(store: Store, now_ms: int) -> tuple[int, int]:
    """Write the file anew: memberships by segment again, without what deletes left behind.

    Codes and the version stay, so the index stays valid.

    Returns:
        The file's bytes before and after.

    Raises:
        DiskFull: the store is as it was. It takes room for a second file.
    """
    before = store.folder.store.stat().st_size
    _rewrite(store, np.empty(0, np.uint32), store.version, now_ms)
    return before, store.folder.store.stat().st_size


def erase(store: Store, users: Iterable[tuple[str, str]], now_ms: int) -> int:
    """Take users out of everything the store holds, and write the file anew without their bytes.

    Later users' codes move down and the version leaps: the index is to be built anew, and replicas
    to be forgotten (`state.replicas`). Files kept aside as damaged go, too: they may hold anybody.

    Args:
        store: open; it stays so.
        users: workspace and user id.
        now_ms: since 1970-01-01 UTC.

    Returns:
        How many of them were known; nothing is done where none is.

    Raises:
        DiskFull: the store is as it was.
    """
    for path in store.folder.path.glob("heapline.duckdb.damaged-*"):
        path.unlink()
    erased = _codes_of(store.database, list(users))
    if erased.size:
        _rewrite(store, erased, leap(store.version, now_ms), now_ms)
    return int(erased.size)


def _codes_of(database: Database, users: list[tuple[str, str]]) -> NDArray[np.uint32]:
    if not users:
        return np.empty(0, np.uint32)
    asked = {
        "workspace": np.array([workspace for workspace, _ in users], np.object_),
        "user_id": np.array([user for _, user in users], np.object_),
    }
    rows = database.run(
        "SELECT DISTINCT p.code FROM asked AS a"
        " JOIN stored.workspace AS w ON w.workspace = a.workspace"
        " JOIN stored.person AS p ON p.workspace = w.code AND p.user_id = a.user_id",
        asked=asked,
    ).rows
    return np.array([code for (code,) in rows], np.uint32)


def _rewrite(store: Store, erased: NDArray[np.uint32], version: int, now_ms: int) -> None:
    prepare(store.folder, store.engine, now_ms)
    try:
        attach(store.database, store.folder.being_built, "building", "READ_WRITE")
        try:
            _copy(store.database, erased, version)
            store.database.run("CHECKPOINT building")
        finally:
            store.database.run("DETACH building")
    except BaseException:
        discard(store.folder)
        raise
    store.database.close()
    try:
        swap(store.folder)
    finally:
        store.reopen(now_ms)


def _copy(database: Database, erased: NDArray[np.uint32], version: int) -> None:
    for table in _AS_THEY_ARE:
        database.run(f"INSERT INTO building.stored.{table} FROM heapline.stored.{table}")
    database.run(f"INSERT INTO building.stored.outcome {_SUMMED}")
    database.run("DELETE FROM building.stored.fact")
    database.run(
        "INSERT INTO building.stored.fact SELECT * REPLACE (?::BIGINT AS version)"
        " FROM heapline.stored.fact",
        [version],
    )
    if erased.size:
        database.run(_KEPT, erased={"code": erased})
        person, joined = "kept.new", "JOIN kept ON kept.old ="
        database.run(
            "INSERT INTO building.stored.person SELECT kept.new, p.workspace, p.user_id FROM"
            f" heapline.stored.person AS p {joined} p.code ORDER BY kept.new"
        )
    else:
        person, joined = "t.person", "--"
        database.run("INSERT INTO building.stored.person FROM heapline.stored.person ORDER BY code")
    database.run(
        f"INSERT INTO building.stored.membership SELECT t.segment, {person}, t.moment"
        f" FROM heapline.stored.membership AS t {joined} t.person\n ORDER BY 1, 2"
    )
    database.run(
        f"INSERT INTO building.stored.history SELECT t.segment, {person}, t.enters, t.moment"
        f" FROM heapline.stored.history AS t {joined} t.person\n ORDER BY t.rowid"
    )
    database.run("DROP TABLE IF EXISTS temp.kept")
