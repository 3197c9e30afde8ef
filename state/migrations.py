"""The store's tables, made and changed by an ordered list of steps, each applied exactly once.

Tables stand in the schema `stored`; what analysts read are the views of `state.views`. There is no
index and no key: they would make a payload ten to a hundred times slower and the file twice as
large, and what they would hold together is held by the codes and shown by `heapline state verify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from state.errors import StoreTooNew

if TYPE_CHECKING:
    from state.database import Database


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        number: from 1, without holes.
        title: what it does.
        script: statements, run in one transaction with the mark that they were.
    """

    number: int
    title: str
    script: str


_FIRST: Final = """
CREATE TABLE stored.workspace (code UINTEGER NOT NULL, workspace VARCHAR NOT NULL);
CREATE TABLE stored.person (
    code UINTEGER NOT NULL, workspace UINTEGER NOT NULL, user_id VARCHAR NOT NULL);
CREATE TABLE stored.segment (
    code UINTEGER NOT NULL, workspace UINTEGER NOT NULL, segment_id VARCHAR NOT NULL);
CREATE TABLE stored.sync (code INTEGER NOT NULL, sync_id VARCHAR NOT NULL);

-- When, by which sync and why: one row for many changes, each of which then needs one number.
CREATE TABLE stored.moment (
    code UINTEGER NOT NULL, at_ms BIGINT NOT NULL, sync INTEGER, cause VARCHAR NOT NULL,
    version BIGINT NOT NULL);
CREATE TABLE stored.membership (
    segment UINTEGER NOT NULL, person UINTEGER NOT NULL, moment UINTEGER NOT NULL);

-- In the order in which it happened: a row's place tells what came first.
CREATE TABLE stored.history (
    segment UINTEGER NOT NULL, person UINTEGER NOT NULL, enters BOOLEAN NOT NULL,
    moment UINTEGER NOT NULL);
CREATE TABLE stored.segment_row (
    segment UINTEGER NOT NULL, name VARCHAR NOT NULL, status VARCHAR NOT NULL,
    rhythm VARCHAR NOT NULL, has_gap BOOLEAN NOT NULL, updated_at_ms BIGINT NOT NULL,
    pages_partition INTEGER NOT NULL, pages_offset BIGINT NOT NULL,
    put_aside_count BIGINT NOT NULL);
CREATE TABLE stored.segment_sync (
    segment UINTEGER NOT NULL, sync INTEGER NOT NULL, ordinal BIGINT NOT NULL,
    kind VARCHAR NOT NULL, started_at_ms BIGINT NOT NULL, last_page_at_ms BIGINT NOT NULL,
    completed_at_ms BIGINT, pages_seen BIGINT NOT NULL, total_pages BIGINT, adds BIGINT NOT NULL,
    removes BIGINT NOT NULL, skipped BIGINT NOT NULL);
CREATE TABLE stored.outcome (
    workspace VARCHAR NOT NULL, source VARCHAR NOT NULL, event VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL, reason VARCHAR, minute_ms BIGINT NOT NULL,
    records BIGINT NOT NULL);
CREATE TABLE stored.position (
    topic VARCHAR NOT NULL, partition INTEGER NOT NULL, next_offset BIGINT NOT NULL);
CREATE TABLE stored.topic (topic VARCHAR NOT NULL, topic_id VARCHAR NOT NULL);
CREATE TABLE stored.fact (
    version BIGINT NOT NULL, applied_at_ms BIGINT, history_since_ms BIGINT NOT NULL,
    cluster_id VARCHAR, views VARCHAR);
"""

MIGRATIONS: Final = (
    Migration(1, "codes, memberships, history, segments, outcomes, positions", _FIRST),
)
"""All steps, in order. One that was released is never changed: add another."""

LATEST: Final = MIGRATIONS[-1].number


def migrate(database: Database, now_ms: int) -> list[int]:
    """Apply the steps a file lacks, each in a transaction of its own.

    Args:
        database: the file, writable.
        now_ms: since 1970-01-01 UTC; what a new file says its history begins with.

    Returns:
        The numbers of those applied now.

    Raises:
        StoreTooNew: the file knows steps this program does not; nothing was changed.
    """
    known = applied(database)
    if known > LATEST:
        raise StoreTooNew(database.path, f"step {known}, where this one knows {LATEST}")
    missing = [step for step in MIGRATIONS if step.number > known]
    for step in missing:
        with database.transaction():
            _prepare(database, step)
            database.run(step.script)
            database.run("INSERT INTO stored.migration VALUES (?, ?, ?)", _mark(step, now_ms))
            if step.number == 1:
                first = "INSERT INTO stored.fact VALUES (0, NULL, ?, NULL, NULL)"
                database.run(first, [now_ms])
    return [step.number for step in missing]


def applied(database: Database) -> int:
    """Give the number of the last step applied to a file, 0 for an empty one."""
    has_marks = database.run(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'heapline'"
        " AND schema_name = 'stored' AND table_name = 'migration'"
    )
    if not has_marks.rows:
        return 0
    last: int = database.run("SELECT coalesce(max(number), 0) FROM stored.migration").value
    return last


def _prepare(database: Database, step: Migration) -> None:
    if step.number == 1:
        database.run("CREATE SCHEMA stored")
        database.run(
            "CREATE TABLE stored.migration (number INTEGER NOT NULL, title VARCHAR NOT NULL,"
            " applied_at_ms BIGINT NOT NULL)"
        )


def _mark(step: Migration, now_ms: int) -> list[object]:
    return [step.number, step.title, now_ms]
