"""Columns and facts read back from a store or a replica, to build the index from and to check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from state.payload import KnownMemberships, KnownSegments, KnownUsers
from state.segment_rows import read_segment_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from state.database import Database


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a store's contents came from, and when.

    Attributes:
        cluster_id: of the Kafka cluster; None before it was remembered.
        topic_ids: of the topics read, by name.
        applied_at_ms: wall time of the last payload; None before the first.
        history_since_ms: when the history begins to be complete.
    """

    cluster_id: str | None
    topic_ids: Mapping[str, str]
    applied_at_ms: int | None
    history_since_ms: int


def read_origin(database: Database) -> Origin:
    """Read the origin of a store's contents."""
    facts = database.one("SELECT cluster_id, applied_at_ms, history_since_ms FROM stored.fact")
    topics = dict(database.run("SELECT topic, topic_id FROM stored.topic").rows)
    return Origin(facts[0], topics, facts[1], facts[2])


def read_positions(database: Database) -> dict[tuple[str, int], int]:
    """Read for each topic and partition the offset to go on at."""
    rows = database.run("SELECT topic, partition, next_offset FROM stored.position").rows
    return {(topic, partition): offset for topic, partition, offset in rows}


def read_users(database: Database) -> KnownUsers:
    """Read all users, in the order of their codes."""
    columns = database.columns("SELECT workspace, user_id FROM stored.person ORDER BY code")
    return KnownUsers(
        plain(columns["workspace"], np.uint32), np.asarray(columns["user_id"], np.object_)
    )


def read_segments(database: Database) -> KnownSegments:
    """Read all segments, in the order of their codes, with their rows."""
    rows = database.run("SELECT code, workspace, segment_id FROM stored.segment ORDER BY code").rows
    facts = read_segment_rows(database)
    return KnownSegments(
        np.array([workspace for _, workspace, _ in rows], np.uint32),
        [segment_id for _, _, segment_id in rows],
        [facts.get(code) for code, _, _ in rows],
    )


def read_memberships(database: Database) -> KnownMemberships:
    """Read all memberships, by segment and user."""
    return memberships_of(
        database, "SELECT segment, person, moment FROM stored.membership ORDER BY segment, person"
    )


def memberships_of(database: Database, sql: str) -> KnownMemberships:
    """Read memberships with a statement that gives `segment`, `person` and `moment`."""
    columns = database.columns(sql)
    times = database.columns("SELECT at_ms FROM stored.moment ORDER BY code")
    # Many moments are of one time: those of the syncs that pages of several segments came by.
    moments, places = np.unique(plain(times["at_ms"], np.int64), return_inverse=True)
    return KnownMemberships(
        plain(columns["segment"], np.uint32),
        plain(columns["person"], np.uint32),
        moments,
        places.astype(np.uint32)[plain(columns["moment"], np.uint32)],
    )


def plain(column: NDArray[Any], kind: Any) -> NDArray[Any]:  # noqa: ANN401 -- any numpy type
    """Give a column that has no NULLs as a plain array."""
    return np.ascontiguousarray(np.ma.getdata(column), dtype=kind)
