"""The writer of the membership index: every payload becomes a generation of its own."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from heapline.memberships.base import KIND as BASE
from heapline.memberships.base import open_base
from heapline.memberships.errors import IndexDamaged, IndexUnavailable
from heapline.memberships.generations import (
    Named,
    base_name,
    load_newest,
    overlay_name,
    read_manifest,
)
from heapline.memberships.overlay import KIND as OVERLAY
from heapline.memberships.overlay import toggled
from heapline.memberships.segments import Freshness, SegmentRow
from state.index_base import BaseColumns
from state.index_delta import Delta
from state.index_files import IndexFiles
from state.index_keys import KeysFile
from state.index_merge import Merging
from state.index_staging import Staged, stage
from state.payload import KnownMemberships, KnownUsers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from heapline.memberships.base import Base
    from heapline.memberships.generations import Loaded
    from heapline.memberships.keys import KeyGroup
    from state.raw_changes import RawChanges, SegmentName

__all__ = ["IndexWriter", "Staged"]

MERGE_BYTES: Final = 4 * 1024 * 1024
"""A smaller overlay is not merged."""
MERGE_AFTER: Final = 4
"""It is once overlays of so many times the base's size were written since the last merge: each
payload writes an overlay, and a merge a base, which takes more of a processor for each byte."""
DAMAGED: Final = -1
"""The version of an index of which nothing can be read: no store has it."""
_MOST_BEHIND: Final = 4
"""An overlay that grew to so many times of what a merge takes in waits for the merge that runs."""
_NO_USERS: Final = KnownUsers(np.empty(0, np.uint32), np.empty(0, np.object_))
_NO_MEMBERSHIPS: Final = KnownMemberships.of(
    np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.int64)
)


class IndexWriter:
    """Keeps the index of one state folder; for one thread, and one process at a time.

    Make one with `open` or `build`. The store's lock is what keeps other writers out.

    Raises:
        DiskFull, StateUnwritable: by everything that writes; what was published before stays.
    """

    def __init__(self, files: IndexFiles, base: Base, delta: Delta, merge_bytes: int) -> None:
        self._files = files
        self._base = base
        self._delta = delta
        self._merge_bytes = merge_bytes
        self._keys = KeysFile(files)
        self._merging = Merging(files)
        self._merging_bytes = merge_bytes
        self._written_bytes = 0
        self._generations: list[Named] = []
        self._number = files.highest()
        self._workspaces: dict[str, int] = {}
        self._segments: dict[SegmentName, int] = {}
        self._rows: list[SegmentRow] = []
        self.freshness = Freshness(0, {}, 0)
        self.version = 0

    @classmethod
    def open(cls, folder: Path, *, merge_bytes: int = MERGE_BYTES) -> Self:
        """Go on with the newest generation that is whole, or with nothing.

        Its `version` tells whether it is the store's: if not, `build` it anew. Where nothing is
        whole, it is `DAMAGED`, and readers are not told that nobody is in anything.
        """
        files = IndexFiles(folder)
        try:
            loaded = load_newest(folder)
        except IndexUnavailable:
            if not files.highest():
                return cls.build(folder, merge_bytes=merge_bytes)
            base = _written(files, BaseColumns.known(_NO_USERS, 0, _NO_MEMBERSHIPS))
            writer = cls(files, base, Delta.none(0), merge_bytes)
            writer.version = DAMAGED
            return writer
        overlay = loaded.overlay
        writer = cls(files, loaded.base, Delta.read(overlay, loaded.base.users), merge_bytes)
        writer._name(overlay.workspaces, overlay.segments)
        writer.freshness, writer.version = overlay.freshness, overlay.version
        writer._generations = _named_up_to(folder, loaded)
        files.prune(writer._generations)
        return writer

    @classmethod
    def build(
        cls,
        folder: Path,
        workspaces: Sequence[str] = (),
        users: KnownUsers | None = None,
        segments: Sequence[SegmentRow] = (),
        memberships: KnownMemberships | None = None,
        *,
        version: int = 0,
        position: Mapping[str, int] | None = None,
        as_of_ms: int = 0,
        merge_bytes: int = MERGE_BYTES,
    ) -> Self:
        """Write an index anew from what a store knows, and remove all older generations.

        Users may be numbered otherwise than before: cursors of lists of members end.

        Args:
            folder: the index.
            workspaces: all, in the order of their codes.
            users: all, likewise.
            segments: all, likewise.
            memberships: all.
            version: the store's.
            position: topic partitions to the offsets up to which records are contained.
            as_of_ms: when the newest of them was applied.
            merge_bytes: see `MERGE_BYTES`.
        """
        files = IndexFiles(folder)
        columns = BaseColumns.known(
            users or _NO_USERS, len(segments), memberships or _NO_MEMBERSHIPS
        )
        base = _written(files, columns)
        writer = cls(files, base, Delta.none(base.users), merge_bytes)
        writer._name(workspaces, segments)
        writer._publish(version, Freshness(base.epoch, dict(position or {}), as_of_ms))
        return writer

    @property
    def generation(self) -> int:
        """The newest generation's number."""
        return self.freshness.generation

    @property
    def workspace_codes(self) -> Mapping[str, int]:
        """All workspaces."""
        return self._workspaces

    @property
    def segment_codes(self) -> Mapping[SegmentName, int]:
        """All segments."""
        return self._segments

    @property
    def user_count(self) -> int:
        """How many users are known."""
        return self._base.users + len(self._delta.users)

    def find_users(self, groups: Sequence[KeyGroup], count: int) -> NDArray[np.int64]:
        """Give the codes of a column of users, negative where one is unknown."""
        codes = self._base.dictionary.find_many(groups, count)
        return np.maximum(codes, self._delta.users.dictionary.find_many(groups, count))

    def holds(self, users: NDArray[np.int64], segments: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for pairs of codes, none negative, whether the user is in the segment."""
        return self._base.holds(users, segments) ^ toggled(self._delta.toggles, users, segments)

    def stage(self, raw: RawChanges, segments: Iterable[SegmentName] = ()) -> Staged:
        """Give codes, and leave out what changes nothing; changes nothing itself.

        Args:
            raw: what was read.
            segments: workspace and id of the segment rows to be published with it.
        """
        return stage(self, raw, segments)

    def publish(
        self,
        staged: Staged,
        segments: Sequence[SegmentRow] = (),
        *,
        version: int,
        position: Mapping[str, int],
        as_of_ms: int,
    ) -> Freshness:
        """Let readers see what was staged, all at once.

        Args:
            staged: on top of the newest generation.
            segments: rows that are new, of segments known or staged.
            version: the store's, which has it by now.
            position: topic partitions to the offsets up to which records are contained.
            as_of_ms: when they were applied.

        Raises:
            ValueError: it was staged on top of another generation, or a row's segment was not.
        """
        if staged.generation != self.generation:
            raise ValueError("staged on top of another generation: stage it again")
        self._adopt(wait=self._delta.size_bytes > _MOST_BEHIND * self._merging_bytes)
        self._take(staged, segments)
        if len(staged.changes) or len(staged.new_users):
            self._delta = self._delta.after(staged.changes, staged.new_users)
        self._publish(version, Freshness(self._following(), dict(position), as_of_ms))
        if self._merging.idle and self._merge_pays():
            self._begin_merge()
        return self.freshness

    def merge(self) -> None:
        """Merge the overlay into its base now, as otherwise happens beside the work."""
        self._adopt(wait=True)
        self._begin_merge()
        self._adopt(wait=True)
        self._publish(self.version, replace(self.freshness, generation=self._following()))

    def close(self) -> None:
        """Wait for a merge that runs."""
        self._merging.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _name(self, workspaces: Sequence[str], rows: Sequence[SegmentRow]) -> None:
        self._workspaces = {name: code for code, name in enumerate(workspaces)}
        self._segments = {(row.workspace, row.segment_id): at for at, row in enumerate(rows)}
        self._rows = list(rows)

    def _take(self, staged: Staged, rows: Sequence[SegmentRow]) -> None:
        names = [*self._workspaces, *staged.new_workspaces]
        new = staged.new_segments
        added = [
            SegmentRow(names[workspace], segment)
            for workspace, segment in zip(new.workspace.tolist(), new.segment_id, strict=True)
        ]
        segments = dict(self._segments)
        for row in added:
            segments[row.workspace, row.segment_id] = len(segments)
        all_rows = [*self._rows, *added]
        for row in rows:
            code = segments.get((row.workspace, row.segment_id))
            if code is None:
                raise ValueError(f"the row of segment {row.segment_id!r} was not staged")
            all_rows[code] = row
        self._workspaces = {name: code for code, name in enumerate(names)}
        self._segments, self._rows = segments, all_rows

    def _publish(self, version: int, freshness: Freshness) -> None:
        keys = self._keys.write(self._delta.users.words, freshness.generation)
        facts = {
            **asdict(freshness),
            "version": version,
            "base": self._base.container.path.name,
            "base_identity": self._base.container.identity,
            "keys": keys and keys._asdict(),
            "workspaces": list(self._workspaces),
            "segments": [row.facts() for row in self._rows],
        }
        name = overlay_name(freshness.generation)
        path = self._files.write(name, OVERLAY, facts, self._delta.sections())
        self._written_bytes += path.stat().st_size
        base = self._base.container.path.name
        named = Named(freshness.generation, name, base, keys and keys.name)
        self._generations = self._files.publish([named, *self._generations])
        self.freshness, self.version = freshness, version
        making = self._merging.making
        self._files.prune(self._generations, () if making is None else (making,))

    def _following(self) -> int:
        self._number = max(self._number, self.generation) + 1
        return self._number

    def _merge_pays(self) -> bool:
        enough = MERGE_AFTER * self._base.container.size_bytes
        return self._delta.size_bytes > self._merge_bytes and self._written_bytes > enough

    def _begin_merge(self) -> None:
        self._merging_bytes, self._written_bytes = self._delta.size_bytes, 0
        self._merging.begin(self._base, self._delta, len(self._rows), self._following())

    def _adopt(self, *, wait: bool) -> None:
        merged = self._merging.result(wait=wait)
        if merged is not None:
            self._delta = self._delta.without(merged.delta, merged.base.users)
            self._base = merged.base


def _written(files: IndexFiles, columns: BaseColumns) -> Base:
    number = files.highest() + 1
    path = files.write(base_name(number), BASE, columns.facts(number), columns.sections())
    return open_base(path)


def _named_up_to(folder: Path, loaded: Loaded) -> list[Named]:
    """Give the generations that are kept, from the one that is open."""
    overlay = loaded.overlay.container.path.name
    number = int(overlay.removeprefix("overlay-").removesuffix(".index"))
    older = [named for named in _manifest(folder) if named.generation < number]
    base, keys = loaded.base.container.path.name, loaded.overlay.keys.name
    return [Named(number, overlay, base, keys), *older]


def _manifest(folder: Path) -> list[Named]:
    try:
        return read_manifest(folder)
    except IndexDamaged:
        return []
