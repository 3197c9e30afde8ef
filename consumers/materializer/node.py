"""Store and index of this node, moved together: stage, commit, publish.

The store is the truth. The index knows users by text and finds out which changes are effective;
the store commits them; then the index shows them. A crash in between leaves the index a version
behind, and the next start builds it anew.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from consumers.materializer.segment_rows import NewestRows, shown
from heapline.memberships.segments import SegmentRow
from heapline.telemetry import metrics
from state.folder import write_ahead_log
from state.index_writer import IndexWriter
from state.payload import Payload
from state.raw_changes import RawChanges

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from consumers.materializer.assembler import Assembled
    from consumers.materializer.segment_rows import VisibleRow
    from consumers.materializer.starting import TopicPartition
    from heapline.clock import Clock
    from state.index_staging import Staged
    from state.payload import OutcomeFacts
    from state.raw_changes import SegmentName
    from state.store import Store


_NOBODY_LEFT: Final[Mapping[str, int]] = {}


class Index(Protocol):
    """`IndexWriter`, or what stands for it where nobody looks yet."""

    def stage(self, raw: RawChanges, segments: Iterable[SegmentName] = ()) -> Staged:
        """See `IndexWriter.stage`."""
        ...

    def publish(
        self,
        staged: Staged,
        segments: Sequence[SegmentRow] = (),
        *,
        version: int,
        position: Mapping[str, int],
        as_of_ms: int,
    ) -> object:
        """See `IndexWriter.publish`."""
        ...


class MembershipNode:
    """See `loop.Node`.

    Args:
        store: open.
        index: open, and of the store's version.
        clock: for the time of applying.
        left_at_ms: see `Moves`; grows meanwhile.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        clock: Clock,
        left_at_ms: Mapping[str, int] = _NOBODY_LEFT,
    ) -> None:
        self._left_at_ms = left_at_ms
        self._store, self._index, self._clock = store, index, clock
        self._log = write_ahead_log(store.database.path)
        self._rows = NewestRows([row for row in store.segments().facts if row is not None])

    @property
    def version(self) -> int:
        """See `loop.Node`."""
        return self._store.version

    @property
    def log_bytes(self) -> int:
        """See `loop.Node`."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def apply(
        self, cut: Assembled[VisibleRow, OutcomeFacts], positions: Mapping[TopicPartition, int]
    ) -> int:
        """See `loop.Node`.

        Raises:
            StoreOutOfStep: index and store disagree; nothing was committed.
            DiskFull, StoreCorrupt, StateUnwritable: it could not be written.
        """
        rows = self._rows.newer(cut.rows)
        began = perf_counter()
        staged = self._index.stage(cut.changes, [(row.workspace, row.segment_id) for row in rows])
        staged_at = perf_counter()
        now_ms = self._clock.epoch_ms()
        version = self._store.apply(
            Payload(
                now_ms=now_ms,
                positions=positions,
                new_workspaces=staged.new_workspaces,
                new_users=staged.new_users,
                new_segments=staged.new_segments,
                changes=staged.changes,
                segments=tuple(rows),
                outcomes=tuple(cut.outcomes),
            )
        )
        stored_at = perf_counter()
        self._index.publish(
            staged,
            [shown(row, self._left_at_ms.get(row.workspace)) for row in rows],
            version=version,
            position=position_facts(positions),
            as_of_ms=now_ms,
        )
        metrics.MATERIALIZE_SECONDS.labels("stage").observe(staged_at - began)
        metrics.MATERIALIZE_SECONDS.labels("store").observe(stored_at - staged_at)
        metrics.MATERIALIZE_SECONDS.labels("publish").observe(perf_counter() - stored_at)
        return len(staged.changes)

    def show_again(self, workspaces: Collection[str]) -> None:
        """See `loop.Node`."""
        rows = [
            shown(row, self._left_at_ms.get(row.workspace))
            for row in self._store.segments().facts
            if row is not None and row.workspace in workspaces
        ]
        left = [row for row in rows if row.disconnected]
        if left:
            self._index.publish(
                self._index.stage(RawChanges()),
                left,
                version=self._store.version,
                position=position_facts(self._store.positions()),
                as_of_ms=self._clock.epoch_ms(),
            )

    def checkpoint(self) -> None:
        """See `loop.Node`."""
        self._store.checkpoint()


def open_index(
    folder: Path,
    store: Store,
    left_at_ms: Mapping[str, int] = _NOBODY_LEFT,
    *,
    anew: bool = False,
) -> tuple[IndexWriter, bool]:
    """Open the index of a store; tell whether it had to be built.

    Args:
        folder: the index.
        store: whose.
        left_at_ms: see `Moves`.
        anew: build it whatever it is.
    """
    if not anew:
        index = IndexWriter.open(folder)
        if index.version == store.version and _knows_as_many(index, store):
            return index, False
        index.close()
    return build_index(folder, store, left_at_ms), True


def _knows_as_many(index: IndexWriter, store: Store) -> bool:
    """Codes must be the same in both; this notices an index of another store."""
    known = len(index.workspace_codes), len(index.segment_codes), index.user_count
    return known == (store.codes.workspaces, store.codes.segments, store.codes.people)


def build_index(
    folder: Path, store: Store, left_at_ms: Mapping[str, int] = _NOBODY_LEFT
) -> IndexWriter:
    """Write a store's index anew; readers go over to it by themselves."""
    workspaces = store.workspaces()
    segments = store.segments()
    return IndexWriter.build(
        folder,
        workspaces,
        store.users(),
        [
            SegmentRow(workspaces[workspace], segment_id)
            if facts is None
            else shown(facts, left_at_ms.get(workspaces[workspace]))
            for workspace, segment_id, facts in zip(
                segments.workspace.tolist(), segments.segment_id, segments.facts, strict=True
            )
        ],
        store.memberships(),
        version=store.version,
        position=position_facts(store.positions()),
        as_of_ms=store.origin().applied_at_ms or 0,
    )


def position_facts(positions: Mapping[TopicPartition, int]) -> dict[str, int]:
    """Name positions as the index does."""
    return {f"{topic}/{partition}": at for (topic, partition), at in positions.items()}
