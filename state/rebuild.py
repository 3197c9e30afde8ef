"""Building the store anew from the topic, and carrying the history over from the old file.

The topic holds memberships as they are now; what was, only the old file knows. Where the two
differ, the difference becomes history, too, with the cause `rebuild`: it happened some time since
the old file was written. Who is in by both keeps the time of entering that the old file knows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from state.database import Database, Engine
from state.errors import StoreCorrupt
from state.folder import WriterLock
from state.migrations import migrate
from state.store import Store
from state.swapping import attach, leap, prepare, swap

if TYPE_CHECKING:
    from state.folder import StateFolder

CAUSE_REBUILD: Final = "rebuild"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did with the old file.

    Attributes:
        carried_over: whether its history was.
        entered, left: memberships in which the topic differed from it.
        problem: why it could not be read, and where it is kept now; None where all went well.
    """

    carried_over: bool = False
    entered: int = 0
    left: int = 0
    problem: str | None = None


_MAPS: Final = """
INSERT INTO stored.workspace SELECT
    (SELECT count(*) FROM stored.workspace) + row_number() OVER (ORDER BY o.code) - 1, o.workspace
FROM past.stored.workspace AS o ANTI JOIN stored.workspace USING (workspace);
CREATE TEMP TABLE map_workspace AS SELECT o.code AS old, n.code AS new
FROM past.stored.workspace AS o JOIN stored.workspace AS n USING (workspace);

CREATE TEMP TABLE old_person AS SELECT o.code, w.new AS workspace, o.user_id
FROM past.stored.person AS o JOIN map_workspace AS w ON w.old = o.workspace;
INSERT INTO stored.person SELECT
    (SELECT count(*) FROM stored.person) + row_number() OVER (ORDER BY o.code) - 1,
    o.workspace, o.user_id
FROM old_person AS o ANTI JOIN stored.person USING (workspace, user_id);
CREATE TEMP TABLE map_person AS SELECT o.code AS old, n.code AS new
FROM old_person AS o JOIN stored.person AS n USING (workspace, user_id);
DROP TABLE old_person;

CREATE TEMP TABLE old_segment AS SELECT o.code, w.new AS workspace, o.segment_id
FROM past.stored.segment AS o JOIN map_workspace AS w ON w.old = o.workspace;
INSERT INTO stored.segment SELECT
    (SELECT count(*) FROM stored.segment) + row_number() OVER (ORDER BY o.code) - 1,
    o.workspace, o.segment_id
FROM old_segment AS o ANTI JOIN stored.segment USING (workspace, segment_id);
CREATE TEMP TABLE map_segment AS SELECT o.code AS old, n.code AS new
FROM old_segment AS o JOIN stored.segment AS n USING (workspace, segment_id);

INSERT INTO stored.sync SELECT
    (SELECT count(*) FROM stored.sync) + row_number() OVER (ORDER BY o.code) - 1, o.sync_id
FROM past.stored.sync AS o ANTI JOIN stored.sync USING (sync_id);
CREATE TEMP TABLE map_sync AS SELECT o.code AS old, n.code AS new
FROM past.stored.sync AS o JOIN stored.sync AS n USING (sync_id);
"""

_MEMBERSHIPS: Final = """
CREATE TEMP TABLE was AS SELECT s.new AS segment, p.new AS person,
    (o.moment + getvariable('first'))::UINTEGER AS moment
FROM past.stored.membership AS o
JOIN map_segment AS s ON s.old = o.segment JOIN map_person AS p ON p.old = o.person;
CREATE TEMP TABLE entered AS SELECT segment, person, moment
FROM stored.membership AS n ANTI JOIN was USING (segment, person);
CREATE TEMP TABLE gone AS SELECT segment, person
FROM was ANTI JOIN stored.membership AS n USING (segment, person);

INSERT INTO stored.moment SELECT code + getvariable('first'), at_ms, m.new, cause, version
FROM past.stored.moment AS o LEFT JOIN map_sync AS m ON m.old = o.sync ORDER BY code;
INSERT INTO stored.moment SELECT count(*), getvariable('now_ms'), NULL, 'rebuild',
    getvariable('version') FROM stored.moment;

DELETE FROM stored.history;
INSERT INTO stored.history SELECT s.new, p.new, o.enters, o.moment + getvariable('first')
FROM past.stored.history AS o
JOIN map_segment AS s ON s.old = o.segment JOIN map_person AS p ON p.old = o.person
ORDER BY o.rowid;
INSERT INTO stored.history SELECT segment, person, false, (SELECT max(code) FROM stored.moment)
FROM gone ORDER BY segment, person;
INSERT INTO stored.history SELECT segment, person, true, moment
FROM entered ORDER BY moment, segment, person;

CREATE TEMP TABLE held AS SELECT n.segment, n.person, coalesce(w.moment, n.moment) AS moment
FROM stored.membership AS n LEFT JOIN was AS w USING (segment, person);
DELETE FROM stored.membership;
INSERT INTO stored.membership FROM held ORDER BY segment, person;
"""

_REST: Final = """
INSERT INTO stored.segment_row SELECT m.new, o.* EXCLUDE (segment)
FROM past.stored.segment_row AS o JOIN map_segment AS m ON m.old = o.segment
ANTI JOIN stored.segment_row AS n ON n.segment = m.new;
INSERT INTO stored.segment_sync SELECT m.new, y.new, o.* EXCLUDE (segment, sync)
FROM past.stored.segment_sync AS o
JOIN map_segment AS m ON m.old = o.segment JOIN map_sync AS y ON y.old = o.sync
ANTI JOIN stored.segment_sync AS n ON n.segment = m.new AND n.sync = y.new;

INSERT INTO stored.position FROM past.stored.position
WHERE topic NOT IN (SELECT topic FROM stored.position)
AND (SELECT cluster_id FROM past.stored.fact) IS NOT DISTINCT FROM
    (SELECT cluster_id FROM stored.fact);
INSERT INTO stored.outcome FROM past.stored.outcome
WHERE minute_ms < (SELECT coalesce(min(minute_ms), 9223372036854775807) FROM stored.outcome);
UPDATE stored.fact SET history_since_ms = (SELECT history_since_ms FROM past.stored.fact),
    applied_at_ms = coalesce(applied_at_ms, (SELECT applied_at_ms FROM past.stored.fact));
"""


def begin(
    folder: StateFolder, now_ms: int, engine: Engine | None = None, lock: WriterLock | None = None
) -> Store:
    """Open an empty store beside the old one; apply to it what the topics hold, then `finish`.

    The topic of outcome counts need not be read: counts and position are carried over, too. Closing
    it instead leaves the old store as it was.

    Raises:
        StoreLocked, StateUnwritable, DiskFull: see `state.errors`.
    """
    lock = lock or WriterLock(folder)
    engine = engine or Engine(spill=folder.spill)
    try:
        path = prepare(folder, engine, now_ms)
    except BaseException:
        lock.release()
        raise
    return Store(folder, now_ms, engine, lock=lock, path=path)


def finish(store: Store, now_ms: int) -> Rebuilt:
    """Carry the old file's history over, and let the new file be the store; it stays open.

    An old file that cannot be read is kept aside under `StateFolder.damaged`.

    Raises:
        StoreTooNew: the old file is a newer program's; nothing was changed.
        DiskFull: the old store is as it was.
    """
    rebuilt, version = Rebuilt(), leap(store.version, now_ms)
    if store.folder.store.exists():
        try:
            version = leap(_brought_up_to_date(store, now_ms), now_ms)
            rebuilt = _carried_over(store, version, now_ms)
        except (StoreCorrupt, duckdb.Error) as error:
            rebuilt = Rebuilt(problem=f"{error}; kept as {store.folder.damaged(now_ms)}")
    store.database.run("UPDATE stored.fact SET version = ?", [version])
    store.database.checkpoint()
    store.database.close()
    try:
        if rebuilt.problem is not None:
            os.link(store.folder.store, store.folder.damaged(now_ms))
        swap(store.folder)
    finally:
        store.reopen(now_ms)
    return rebuilt


def _brought_up_to_date(store: Store, now_ms: int) -> int:
    """Fold the old file's log in and apply to it what it lacks; give its version."""
    with Database(store.folder.store, store.engine) as past:
        migrate(past, now_ms)
        past.checkpoint()
        version: int = past.one("SELECT version FROM stored.fact")[0]
    return version


def _carried_over(store: Store, version: int, now_ms: int) -> Rebuilt:
    database = store.database
    attach(database, store.folder.store, "past", "READ_ONLY")
    try:
        with database.transaction():
            _say(database, "first", store.codes.moments)
            _say(database, "version", version)
            _say(database, "now_ms", now_ms)
            database.run(
                "UPDATE stored.moment SET cause = ?, version = ?", [CAUSE_REBUILD, version]
            )
            for script in (_MAPS, _MEMBERSHIPS, _REST):
                database.run(script)
            entered, left = database.one(
                "SELECT (SELECT count(*) FROM entered), (SELECT count(*) FROM gone)"
            )
    finally:
        database.run("DETACH past")
    return Rebuilt(carried_over=True, entered=entered, left=left)


def _say(database: Database, name: str, value: int) -> None:
    database.run(f"SET VARIABLE {name} = {value}")
