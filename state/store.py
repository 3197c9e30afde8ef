"""The store: memberships, their history, segments, outcomes and positions, in one DuckDB file.

It is the truth of this node, written by one process at a time, a payload at a time: all of it or
nothing. What it knows comes from Kafka and could be read again; only the history could not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from state.applying import (
    NextCodes,
    add_codes,
    add_outcomes,
    move_positions,
    sync_codes,
)
from state.change_writer import ChangeWriter
from state.contents import (
    Origin,
    read_memberships,
    read_origin,
    read_positions,
    read_segments,
    read_users,
)
from state.database import Database, Engine
from state.errors import StoreCorrupt
from state.folder import WriterLock
from state.migrations import migrate
from state.segment_rows import (
    changed_syncs,
    read_segment_rows,
    with_syncs_of,
    write_segment_rows,
)
from state.views import make_views

if TYPE_CHECKING:
    from pathlib import Path

    from state.folder import StateFolder
    from state.payload import KnownMemberships, KnownSegments, KnownUsers, Payload, SegmentFacts


_SYNCS_REMEMBERED: Final = 10_000


class Store:
    """An open store; for one thread.

    Attributes:
        folder: where it stands.
        database: its file.
        codes: those that are given next.
        version: grows by one with every payload, and by a leap when the file is made anew, so that
            no two states of one folder have the same. 0: nothing was ever applied.

    Args:
        folder: the state folder; made where it is missing.
        now_ms: since 1970-01-01 UTC.
        engine: how DuckDB runs.
        lock: the right to write the folder; taken here where it is not given, and let go by
            `close` either way.
        path: another file than the folder's store, for one that is being built.

    Raises:
        StoreLocked: another process writes the folder.
        StoreCorrupt, StoreTooNew, StateUnwritable, DiskFull: see `state.errors`.
    """

    def __init__(
        self,
        folder: StateFolder,
        now_ms: int,
        engine: Engine | None = None,
        *,
        lock: WriterLock | None = None,
        path: Path | None = None,
    ) -> None:
        self.folder = folder
        self.engine = engine or Engine(spill=folder.spill)
        self.lock = lock or WriterLock(folder)
        try:
            self.database = Database(path or folder.store, self.engine)
            try:
                self._open(now_ms)
            except BaseException:
                self.database.close()
                raise
        except BaseException:
            self.lock.release()
            raise

    def reopen(self, now_ms: int) -> None:
        """Open the folder's store, after its file was replaced."""
        self.database.close()
        self.database = Database(self.folder.store, self.engine)
        self._open(now_ms)

    def _open(self, now_ms: int) -> None:
        migrate(self.database, now_ms)
        make_views(self.database)
        self._changes = ChangeWriter(self.database)
        self.codes = NextCodes.of(self.database)
        self._segments = _segment_codes(self.database)
        self._rows = read_segment_rows(self.database)
        self._positions = read_positions(self.database)
        self._syncs: dict[str, int] = {}
        self.version: int = self.database.one("SELECT version FROM stored.fact")[0]

    def apply(self, payload: Payload) -> int:
        """Commit a payload, or nothing of it.

        Returns:
            The store's new version.

        Raises:
            ValueError: the payload contradicts itself.
            StoreOutOfStep: a change is not effective.
            DiskFull, StoreCorrupt: it could not be written; open the store again.
        """
        codes = self.codes.after(payload)
        _check_codes(payload, codes)
        segments = self._segments | _new_segment_codes(self, payload)
        rows = _rows_by_code(payload, segments)
        with self.database.transaction():
            add_codes(self.database, payload, self.codes)
            syncs = self._sync_codes(payload, rows)
            next_moment = self._changes.write(
                payload.changes, syncs, self.codes.moments, self.version + 1
            )
            write_segment_rows(self.database, rows, self._rows, syncs)
            add_outcomes(self.database, payload.outcomes)
            move_positions(self.database, self._moved(payload), self._positions.keys())
            self.database.run(
                "UPDATE stored.fact SET version = ?, applied_at_ms = ?",
                [self.version + 1, payload.now_ms],
            )
        next_sync = (
            max(codes.syncs, *(code + 1 for code in syncs.values())) if syncs else codes.syncs
        )
        self.codes = replace(codes, syncs=next_sync, moments=next_moment)
        self._segments = segments
        self._rows |= {code: with_syncs_of(row, self._rows.get(code)) for code, row in rows.items()}
        self._positions |= payload.positions
        self._syncs = syncs if len(self._syncs) > _SYNCS_REMEMBERED else self._syncs | syncs
        self.version += 1
        return self.version

    def _sync_codes(self, payload: Payload, rows: dict[int, SegmentFacts]) -> dict[str, int]:
        named = [
            each.sync_id
            for code, row in rows.items()
            for each in changed_syncs(row, self._rows.get(code))
        ]
        wanted = [*payload.changes.sync_id, *named]
        return sync_codes(self.database, wanted, self._syncs, self.codes.syncs)

    def _moved(self, payload: Payload) -> dict[tuple[str, int], int]:
        """Leave out the positions that are as they were: mostly all but a few."""
        known = self._positions
        return {place: at for place, at in payload.positions.items() if known.get(place) != at}

    def checkpoint(self) -> None:
        """Fold the log into the file; call it between payloads, not while the file is copied."""
        self.database.checkpoint()

    def positions(self) -> dict[tuple[str, int], int]:
        """Give for each topic and partition read the offset to go on at."""
        return dict(self._positions)

    def origin(self) -> Origin:
        """Tell which cluster and topics the store was filled from, and when it last was."""
        return read_origin(self.database)

    def remember_origin(self, cluster_id: str, topic_ids: dict[str, str]) -> None:
        """Write down which cluster and topics the store is filled from."""
        with self.database.transaction():
            self.database.run("UPDATE stored.fact SET cluster_id = ?", [cluster_id])
            self.database.run("DELETE FROM stored.topic")
            for topic, topic_id in topic_ids.items():
                self.database.run("INSERT INTO stored.topic VALUES (?, ?)", [topic, topic_id])

    def workspaces(self) -> list[str]:
        """Give all workspaces, in the order of their codes."""
        rows = self.database.run("SELECT workspace FROM stored.workspace ORDER BY code").rows
        return [workspace for (workspace,) in rows]

    def users(self) -> KnownUsers:
        """Give all users, in the order of their codes."""
        return read_users(self.database)

    def segments(self) -> KnownSegments:
        """Give all segments, in the order of their codes, with their rows."""
        return read_segments(self.database)

    def memberships(self) -> KnownMemberships:
        """Give all memberships, by segment and user."""
        return read_memberships(self.database)

    def close(self) -> None:
        """Fold the log in, and let go of file and folder; a second call does nothing."""
        self.database.close()
        self.lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rows_by_code(
    payload: Payload, segments: dict[tuple[str, str], int]
) -> dict[int, SegmentFacts]:
    rows = {(row.workspace, row.segment_id): row for row in payload.segments}
    unknown = [
        segment_id for workspace, segment_id in rows if (workspace, segment_id) not in segments
    ]
    if unknown:
        raise ValueError(f"the segment row of {unknown[0]!r} needs a code first")
    return {segments[name]: row for name, row in rows.items()}


def _segment_codes(database: Database) -> dict[tuple[str, str], int]:
    rows = database.run(
        "SELECT w.workspace, s.segment_id, s.code FROM stored.segment AS s"
        " JOIN stored.workspace AS w ON w.code = s.workspace"
    ).rows
    codes = {(workspace, segment_id): code for workspace, segment_id, code in rows}
    if len(codes) != database.one("SELECT count(*) FROM stored.segment")[0]:
        raise StoreCorrupt(database.path, "two segments have one name")
    return codes


def _new_segment_codes(store: Store, payload: Payload) -> dict[tuple[str, str], int]:
    new = payload.new_segments
    if not len(new):
        return {}
    names = [*store.workspaces(), *payload.new_workspaces]
    return {
        (names[workspace], segment_id): store.codes.segments + place
        for place, (workspace, segment_id) in enumerate(
            zip(new.workspace.tolist(), new.segment_id, strict=True)
        )
    }


def _check_codes(payload: Payload, codes: NextCodes) -> None:
    changes = payload.changes
    for what, given, known in (
        ("workspace", payload.new_users.workspace, codes.workspaces),
        ("workspace", payload.new_segments.workspace, codes.workspaces),
        ("user", changes.user, codes.people),
        ("segment", changes.segment, codes.segments),
    ):
        if given.size and int(np.max(given)) >= known:
            raise ValueError(f"{what} {int(np.max(given))} is not among the {known} known")
