"""The index of a store that is being built: in memory, for staging alone.

Nobody asks it, so nothing is written and no generation is made; the index that readers get is
written once, from the store, when that is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from state.index_newer import NewerUsers
from state.index_pairs import pairs_of, places_in, toggled
from state.index_staging import Staged, stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.keys import KeyGroup
    from heapline.memberships.segments import SegmentRow
    from state.raw_changes import RawChanges, SegmentName


class UnwrittenIndex:
    """Knows codes, and who is in; see `state.index_staging.Contents`. Empty at first.

    Attributes:
        generation: how often something was published.
        workspace_codes, segment_codes: all of them.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.workspace_codes: dict[str, int] = {}
        self.segment_codes: dict[SegmentName, int] = {}
        self._users = NewerUsers.none(0)
        self._pairs = np.empty(0, np.uint64)

    @property
    def user_count(self) -> int:
        """How many users are known."""
        return len(self._users)

    def find_users(self, groups: Sequence[KeyGroup], count: int) -> NDArray[np.int64]:
        """Give the codes of a column of users, negative where one is unknown."""
        return self._users.dictionary.find_many(groups, count)

    def holds(self, users: NDArray[np.int64], segments: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for pairs of codes, none negative, whether the user is in the segment."""
        return places_in(self._pairs, pairs_of(users, segments))[1]

    def stage(self, raw: RawChanges, segments: Iterable[SegmentName] = ()) -> Staged:
        """See `IndexWriter.stage`."""
        return stage(self, raw, segments)

    def publish(
        self,
        staged: Staged,
        segments: Sequence[SegmentRow] = (),
        *,
        version: int,
        position: Mapping[str, int],
        as_of_ms: int,
    ) -> None:
        """Take in what was staged; rows, version, position and time are the store's to keep."""
        del segments, version, position, as_of_ms
        names = [*self.workspace_codes, *staged.new_workspaces]
        self.workspace_codes = {name: code for code, name in enumerate(names)}
        new = staged.new_segments
        for workspace, segment in zip(new.workspace.tolist(), new.segment_id, strict=True):
            self.segment_codes[names[workspace], segment] = len(self.segment_codes)
        self._users = self._users.followed_by(staged.new_users)
        changed, times = np.unique(
            pairs_of(staged.changes.user, staged.changes.segment), return_counts=True
        )
        self._pairs = toggled(self._pairs, changed[times % 2 == 1])
        self.generation += 1
