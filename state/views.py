"""What analysts read: views with plain columns, each of which tells in the file what it means.

Names and columns are a contract with everybody's saved queries: they are added to, never changed.
No name is a reserved word: a column called `user` would read as DuckDB's function of that name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from state.database import Database


@dataclass(frozen=True, slots=True)
class View:
    """A view.

    Attributes:
        name: as analysts type it.
        comment: what a row of it is.
        columns: name to meaning, in order.
        query: gives exactly these columns.
    """

    name: str
    comment: str
    columns: Mapping[str, str]
    query: str


_WORKSPACE: Final = "The Command AI organisation."
_USER: Final = "The workspace's own id of the user."
_SEGMENT: Final = "Heap's id of the segment."
_SEGMENT_NAME: Final = "The segment's name as Heap last gave it; empty until it gave one."
_ENTERED: Final = "When the page that added the user was accepted."

VIEWS: Final = (
    View(
        "membership",
        "Who is in which segment now: one row a user and segment.",
        {
            "workspace": _WORKSPACE,
            "user_id": _USER,
            "segment_id": _SEGMENT,
            "segment_name": _SEGMENT_NAME,
            "entered_at": _ENTERED,
            "sync_task_id": "The sync that added the user; NULL where the page named none.",
        },
        """
        SELECT w.workspace, p.user_id, s.segment_id, coalesce(r.name, '') AS segment_name,
            make_timestamptz(m.at_ms * 1000) AS entered_at, y.sync_id AS sync_task_id
        FROM stored.membership AS i
        JOIN stored.person AS p ON p.code = i.person
        JOIN stored.segment AS s ON s.code = i.segment
        JOIN stored.workspace AS w ON w.code = s.workspace
        JOIN stored.moment AS m ON m.code = i.moment
        LEFT JOIN stored.segment_row AS r ON r.segment = i.segment
        LEFT JOIN stored.sync AS y ON y.code = m.sync
        """,
    ),
    View(
        "membership_history",
        "Every stay of a user in a segment, past and present: one row from entering to leaving. "
        "Complete from `about.history_since` on.",
        {
            "workspace": _WORKSPACE,
            "user_id": _USER,
            "segment_id": _SEGMENT,
            "segment_name": _SEGMENT_NAME,
            "entered_at": _ENTERED,
            "left_at": "When the page that removed the user was accepted; NULL while in.",
            "sync_task_id": "The sync that added the user; NULL where the page named none.",
            "left_sync_task_id": "The sync that removed the user; NULL while in, or not named.",
            "entered_cause": "sync, or rebuild where a rebuild of the store found the user in.",
            "left_cause": "sync, or rebuild where a rebuild found the user gone; NULL while in.",
        },
        """
        SELECT w.workspace, p.user_id, s.segment_id, coalesce(r.name, '') AS segment_name,
            make_timestamptz(i.at_ms * 1000) AS entered_at,
            make_timestamptz(o.at_ms * 1000) AS left_at,
            yi.sync_id AS sync_task_id, yo.sync_id AS left_sync_task_id,
            i.cause AS entered_cause, o.cause AS left_cause
        FROM (
            SELECT segment, person, enters, moment, lead(moment) OVER (
                PARTITION BY segment, person ORDER BY rowid) AS left_moment
            FROM stored.history) AS h
        JOIN stored.person AS p ON p.code = h.person
        JOIN stored.segment AS s ON s.code = h.segment
        JOIN stored.workspace AS w ON w.code = s.workspace
        JOIN stored.moment AS i ON i.code = h.moment
        LEFT JOIN stored.moment AS o ON o.code = h.left_moment
        LEFT JOIN stored.segment_row AS r ON r.segment = h.segment
        LEFT JOIN stored.sync AS yi ON yi.code = i.sync
        LEFT JOIN stored.sync AS yo ON yo.code = o.sync
        WHERE h.enters
        """,
    ),
    View(
        "membership_change",
        "Every enter and every leave: one row each, cheaper to read than the stays of "
        "membership_history. Complete from `about.history_since` on.",
        {
            "workspace": _WORKSPACE,
            "user_id": _USER,
            "segment_id": _SEGMENT,
            "segment_name": _SEGMENT_NAME,
            "changed_at": "When the page that said so was accepted.",
            "change": "enter or leave.",
            "sync_task_id": "The sync that said so; NULL where the page named none.",
            "cause": "sync, or rebuild where a rebuild of the store found the difference.",
        },
        """
        SELECT w.workspace, p.user_id, s.segment_id, coalesce(r.name, '') AS segment_name,
            make_timestamptz(m.at_ms * 1000) AS changed_at,
            CASE WHEN h.enters THEN 'enter' ELSE 'leave' END AS change,
            y.sync_id AS sync_task_id, m.cause
        FROM stored.history AS h
        JOIN stored.person AS p ON p.code = h.person
        JOIN stored.segment AS s ON s.code = h.segment
        JOIN stored.workspace AS w ON w.code = s.workspace
        JOIN stored.moment AS m ON m.code = h.moment
        LEFT JOIN stored.segment_row AS r ON r.segment = h.segment
        LEFT JOIN stored.sync AS y ON y.code = m.sync
        """,
    ),
    View(
        "segment",
        "Every segment: one row each, with what its latest page said.",
        {
            "workspace": _WORKSPACE,
            "segment_id": _SEGMENT,
            "segment_name": _SEGMENT_NAME,
            "member_count": "Users who are in now.",
            "status": "syncing, complete, partial or drained as of updated_at; "
            "NULL where only members are known yet.",
            "rhythm": "recurring or unknown as of updated_at.",
            "has_gap": "A page was put aside: members may be wrong until drained and synced anew.",
            "updated_at": "When the latest page taken into account was accepted.",
            "put_aside_count": "Pages put aside, ever.",
        },
        """
        SELECT w.workspace, s.segment_id, coalesce(r.name, '') AS segment_name,
            coalesce(c.members, 0) AS member_count, r.status, r.rhythm, r.has_gap,
            make_timestamptz(r.updated_at_ms * 1000) AS updated_at, r.put_aside_count
        FROM stored.segment AS s
        JOIN stored.workspace AS w ON w.code = s.workspace
        LEFT JOIN stored.segment_row AS r ON r.segment = s.code
        LEFT JOIN (SELECT segment, count(*) AS members FROM stored.membership GROUP BY segment)
            AS c ON c.segment = s.code
        """,
    ),
    View(
        "sync",
        "Every sync, drain, or page that named no sync: one row each.",
        {
            "workspace": _WORKSPACE,
            "segment_id": _SEGMENT,
            "segment_name": _SEGMENT_NAME,
            "sync_task_id": "Heap's id of it, or page@PARTITION/OFFSET, drain@PARTITION/OFFSET.",
            "ordinal": "From 1, in the order in which the segment's syncs began.",
            "kind": "sync, page (it named no sync) or drain.",
            "started_at": "When its first page was accepted.",
            "last_page_at": "When its latest page was accepted.",
            "completed_at": "When its last missing page was accepted; NULL while one is missing.",
            "pages_seen": "Pages that came.",
            "total_pages": "Pages it has; NULL where it was not said.",
            "adds": "Users its pages added, whether they were in already or not.",
            "removes": "Users its pages removed, likewise.",
            "skipped": "Users its pages named without a usable id.",
        },
        """
        SELECT w.workspace, s.segment_id, coalesce(r.name, '') AS segment_name,
            y.sync_id AS sync_task_id, t.ordinal, t.kind,
            make_timestamptz(t.started_at_ms * 1000) AS started_at,
            make_timestamptz(t.last_page_at_ms * 1000) AS last_page_at,
            make_timestamptz(t.completed_at_ms * 1000) AS completed_at,
            t.pages_seen, t.total_pages, t.adds, t.removes, t.skipped
        FROM stored.segment_sync AS t
        JOIN stored.segment AS s ON s.code = t.segment
        JOIN stored.workspace AS w ON w.code = s.workspace
        JOIN stored.sync AS y ON y.code = t.sync
        LEFT JOIN stored.segment_row AS r ON r.segment = t.segment
        """,
    ),
    View(
        "outcome",
        "What became of events sent to Heap: one row for each minute, source, event and reason.",
        {
            "workspace": "The Command AI organisation; empty for records that name none.",
            "source": "Where the record was read: events, deferred or replay.",
            "event": "The event's name; empty where the record could not be decoded.",
            "outcome": "delivered, skipped, dead_lettered or deferred.",
            "reason": "Why; NULL for delivered.",
            "minute": "The minute in which it was decided.",
            "records": "How many.",
        },
        """
        SELECT workspace, source, event, outcome, reason,
            make_timestamptz(minute_ms * 1000) AS minute, sum(records)::BIGINT AS records
        FROM stored.outcome GROUP BY workspace, source, event, outcome, reason, minute_ms
        """,
    ),
    View(
        "about",
        "How new and how complete this file is: one row.",
        {
            "as_of": "When what it holds was last applied; NULL before the first page.",
            "history_since": "When the history begins to be complete; stays that began earlier "
            "are known with their entered_at, if they were still going on.",
            "version": "Grows with everything applied.",
            "kafka_cluster_id": "The cluster it was filled from.",
            "workspaces": "How many there are.",
            "users": "How many were ever seen, whether they are in a segment or not.",
            "segments": "How many there are.",
            "memberships": "How many there are now.",
        },
        """
        SELECT make_timestamptz(f.applied_at_ms * 1000) AS as_of,
            make_timestamptz(f.history_since_ms * 1000) AS history_since,
            f.version, f.cluster_id AS kafka_cluster_id,
            (SELECT count(*) FROM stored.workspace) AS workspaces,
            (SELECT count(*) FROM stored.person) AS users,
            (SELECT count(*) FROM stored.segment) AS segments,
            (SELECT count(*) FROM stored.membership) AS memberships
        FROM stored.fact AS f
        """,
    ),
)


def statements() -> list[str]:
    """Give what makes the views and tells what they mean."""
    made: list[str] = []
    for view in VIEWS:
        made.append(f"CREATE OR REPLACE VIEW {view.name} AS {view.query.strip()}")
        made.append(f"COMMENT ON VIEW {view.name} IS {_text(view.comment)}")
        made += [
            f"COMMENT ON COLUMN {view.name}.{column} IS {_text(meaning)}"
            for column, meaning in view.columns.items()
        ]
    return made


def make_views(database: Database) -> None:
    """Make the views, unless the file has exactly these already."""
    made = statements()
    digest = hashlib.sha256("\n".join(made).encode()).hexdigest()
    if database.one("SELECT views FROM stored.fact")[0] == digest:
        return
    with database.transaction():
        for statement in made:
            database.run(statement)
        database.run("UPDATE stored.fact SET views = ?", [digest])


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
