"""The parts of a payload, each written by a few statements over whole columns.

What is written stands in one transaction of the caller's. Codes are given here to what is known to
the store alone: syncs, and *moments* (when, by which sync, why), of which many changes share one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from state.errors import StoreOutOfStep
from state.payload import NO_SYNC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from state.database import Database
    from state.payload import Changes, OutcomeFacts, Payload

CAUSE_SYNC: Final = "sync"
CAUSE_REBUILD: Final = "rebuild"
_FEW: Final = 2


@dataclass(frozen=True, slots=True)
class NextCodes:
    """The codes that are given next.

    Attributes:
        workspaces, people, segments, syncs, moments: for each kind, how many there are.
    """

    workspaces: int
    people: int
    segments: int
    syncs: int
    moments: int

    @classmethod
    def of(cls, database: Database) -> NextCodes:
        """Read them from a file."""
        tables = ("workspace", "person", "segment", "sync", "moment")
        each = ", ".join(f"(SELECT count(*) FROM stored.{table})" for table in tables)
        return cls(*database.one(f"SELECT {each}"))

    def after(self, payload: Payload) -> NextCodes:
        """Give them once a payload's workspaces, users and segments have theirs."""
        return replace(
            self,
            workspaces=self.workspaces + len(payload.new_workspaces),
            people=self.people + len(payload.new_users),
            segments=self.segments + len(payload.new_segments),
        )


def add_codes(database: Database, payload: Payload, codes: NextCodes) -> None:
    """Write down the workspaces, users and segments that get the next codes."""
    if payload.new_workspaces:
        added = {
            "code": _codes(codes.workspaces, len(payload.new_workspaces)),
            "workspace": _texts(payload.new_workspaces),
        }
        database.run("INSERT INTO stored.workspace SELECT * FROM added", added=added)
    new = payload.new_segments
    for table, first, workspace, ids in (
        ("person", codes.people, payload.new_users.workspace, payload.new_users.user_id),
        ("segment", codes.segments, new.workspace, new.segment_id),
    ):
        if ids:
            added = {"code": _codes(first, len(ids)), "workspace": workspace, "id": _texts(ids)}
            database.run(f"INSERT INTO stored.{table} SELECT * FROM added", added=added)


def sync_codes(
    database: Database, sync_ids: Iterable[str], known: Mapping[str, int], first: int
) -> dict[str, int]:
    """Give the codes of syncs; those the file does not know get the next ones.

    Args:
        database: the store, in a transaction.
        sync_ids: whose; may repeat.
        known: codes remembered, to save asking.
        first: the next sync's code.
    """
    wanted = dict.fromkeys(sync_ids)
    codes = {each: known[each] for each in wanted if each in known}
    missing = [each for each in wanted if each not in codes]
    if missing:
        sql = "SELECT sync_id, code FROM stored.sync SEMI JOIN asked USING (sync_id)"
        codes |= dict(database.run(sql, asked={"sync_id": _texts(missing)}).rows)
    new = [each for each in missing if each not in codes]
    if new:
        added = {"code": _codes(first, len(new)).astype(np.int32), "sync_id": _texts(new)}
        database.run("INSERT INTO stored.sync SELECT * FROM added", added=added)
    return codes | {sync_id: first + place for place, sync_id in enumerate(new)}


def add_moments(
    database: Database, changes: Changes, syncs: Mapping[str, int], first: int, version: int
) -> tuple[NDArray[np.uint32], int]:
    """Write down when and by which sync changes happened.

    Args:
        database: the store.
        changes: in order; those of one page stand together and share a moment.
        syncs: codes of at least the syncs it names.
        first: the next moment's code.
        version: the store's, once the payload is applied.

    Returns:
        The moment of each change, and the next moment's code after them.
    """
    is_first = np.ones(len(changes), np.bool_)
    is_first[1:] = np.diff(changes.at_ms) != 0
    is_first[1:] |= np.diff(changes.sync) != 0
    starts = np.flatnonzero(is_first)
    named = np.array([*map(syncs.__getitem__, changes.sync_id), NO_SYNC], np.int32)
    moments: dict[str, NDArray[Any]] = {
        "code": _codes(first, starts.size),
        "at_ms": changes.at_ms[starts],
        "sync": named[changes.sync[starts]],
    }
    if starts.size <= _FEW:
        # Single rows take half the time of columns.
        rows = zip(*(column.tolist() for column in moments.values()), strict=True)
        for row in rows:
            sql = f"INSERT INTO stored.moment VALUES (?, ?, nullif(?, {NO_SYNC}), ?, ?)"
            database.run(sql, [*row, CAUSE_SYNC, version])
    else:
        sql = f"SELECT code, at_ms, nullif(sync, {NO_SYNC}), ?, ? FROM moments"
        database.run(f"INSERT INTO stored.moment {sql}", [CAUSE_SYNC, version], moments=moments)
    of_each = (np.cumsum(is_first) - 1 + first).astype(np.uint32)
    return of_each, first + int(starts.size)


def apply_changes(database: Database, changes: Changes, moment: NDArray[np.uint32]) -> None:
    """Write enters and leaves into the history, and what they come to into the memberships.

    Raises:
        ValueError: a pair's changes are not enters and leaves by turns.
        StoreOutOfStep: somebody leaves who is not in.
    """
    pairs = (changes.segment.astype(np.uint64) << np.uint64(32)) | changes.user
    order = np.argsort(pairs, kind="stable")
    pairs, enters = pairs[order], changes.enters[order]
    is_last = np.ones(pairs.size, np.bool_)
    is_last[:-1] = pairs[1:] != pairs[:-1]
    is_first = np.roll(is_last, 1)
    if np.any(~is_first[1:] & (enters[1:] == enters[:-1])):
        raise ValueError("a user enters or leaves a segment twice in a row")
    _remove(database, changes, order[is_first & ~enters])
    added = order[is_last & enters]
    if added.size:
        columns = _pairs(changes, added) | {"moment": moment[added]}
        database.run("INSERT INTO stored.membership SELECT * FROM added", added=columns)
    # By moment, and within one by pair: that packs best, and changes of one pair keep their order.
    order = order[np.argsort(moment[order], kind="stable")]
    happened = _pairs(changes, order) | {
        "enters": changes.enters[order],
        "moment": moment[order],
    }
    database.run("INSERT INTO stored.history SELECT * FROM happened", happened=happened)


def _remove(database: Database, changes: Changes, rows: NDArray[np.int64]) -> None:
    if not rows.size:
        return
    gone = _pairs(changes, rows)
    segments = np.unique(gone["segment"]).tolist()
    # Naming the segments, too, lets DuckDB pass over the parts of the table that hold others.
    if len(segments) == 1:
        sql = (
            f"DELETE FROM stored.membership WHERE segment = {segments[0]}"
            " AND person IN (SELECT person FROM gone)"  # a third cheaper than by pairs
        )
    else:
        sql = (
            "DELETE FROM stored.membership AS m USING gone WHERE m.segment = gone.segment"
            f" AND m.person = gone.person AND m.segment IN ({', '.join(map(str, segments))})"
        )
    removed = database.run(sql, gone=gone).value
    if removed != rows.size:
        found = f"{rows.size:,} memberships end and {removed:,} of them are there"
        raise StoreOutOfStep(database.path, found)


def _pairs(changes: Changes, rows: NDArray[np.int64]) -> dict[str, NDArray[np.uint32]]:
    return {"segment": changes.segment[rows], "person": changes.user[rows]}


def add_outcomes(database: Database, outcomes: Sequence[OutcomeFacts]) -> None:
    """Write down outcome counts; the view adds them up."""
    if not outcomes:
        return
    added = {
        "workspace": _texts([each.workspace for each in outcomes]),
        "source": _texts([each.source for each in outcomes]),
        "event": _texts([each.event for each in outcomes]),
        "outcome": _texts([each.outcome for each in outcomes]),
        "reason": _texts([each.reason or "" for each in outcomes]),
        "minute_ms": np.array([each.minute_ms for each in outcomes], np.int64),
        "records": np.array([each.count for each in outcomes], np.int64),
    }
    database.run(
        "INSERT INTO stored.outcome SELECT * REPLACE (nullif(reason, '') AS reason) FROM added",
        added=added,
    )


def move_positions(
    database: Database,
    positions: Mapping[tuple[str, int], int],
    known: AbstractSet[tuple[str, int]],
) -> None:
    """Write down from where topics are to be read on.

    Args:
        database: the store, in a transaction.
        positions: of any partitions.
        known: the partitions that have a position already.
    """
    old = {each: offset for each, offset in positions.items() if each in known}
    new = {each: offset for each, offset in positions.items() if each not in known}
    if len(old) <= _FEW:
        for (topic, partition), offset in old.items():
            database.run(
                "UPDATE stored.position SET next_offset = ? WHERE topic = ? AND partition = ?",
                [offset, topic, partition],
            )
    else:
        database.run(
            "UPDATE stored.position AS p SET next_offset = moved.next_offset FROM moved"
            " WHERE p.topic = moved.topic AND p.partition = moved.partition",
            moved=_position_columns(old),
        )
    if new:
        database.run(
            "INSERT INTO stored.position SELECT * FROM moved", moved=_position_columns(new)
        )


def _position_columns(positions: Mapping[tuple[str, int], int]) -> dict[str, NDArray[Any]]:
    return {
        "topic": _texts([topic for topic, _ in positions]),
        "partition": np.array([partition for _, partition in positions], np.int32),
        "next_offset": np.array(list(positions.values()), np.int64),
    }


def _codes(first: int, count: int) -> NDArray[np.uint32]:
    return np.arange(first, first + count, dtype=np.uint32)


def _texts(texts: list[str]) -> NDArray[np.object_]:
    return np.array(texts, np.object_)
