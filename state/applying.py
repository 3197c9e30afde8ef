"""The parts of a payload besides its changes, each written by a few statements over whole columns.

What is written stands in one transaction of the caller's. Codes are given here to syncs, which are
known to the store alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from state.database import Database
    from state.payload import OutcomeFacts, Payload

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
