"""A column of user ids in one piece, as they stood in Kafka: no Python object for each.

Ten thousand ids are looked for, compared and handed to another process at once. Only those who are
new become texts of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from heapline.memberships.keys import BEHIND, encoded, key_groups_of, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from heapline.memberships.keys import KeyGroup

_LINE_END: Final = ord(BEHIND)


@dataclass(frozen=True, slots=True, eq=False)
class UserIds:
    """Ids, in order.

    Attributes:
        text: the ids in UTF-8, a line end behind each (uint8); ids may hold line ends themselves.
        ends: for each the place of the line end behind it (int64).
    """

    text: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    ends: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, ids: Sequence[str]) -> UserIds:
        """Take texts.

        Raises:
            UnicodeEncodeError: one of them has no UTF-8.
        """
        return cls(*encoded(ids)) if ids else cls()

    @classmethod
    def of_rows(cls, rows: NDArray[np.uint8]) -> UserIds:
        """Take ids of one length, a row each; what stands in the last column is written over."""
        text = rows.copy()
        text[:, -1] = _LINE_END
        count, width = text.shape
        return cls(text.ravel(), np.arange(1, count + 1) * width - 1)

    @classmethod
    def joined(cls, parts: Sequence[UserIds]) -> UserIds:
        """Put columns one behind the other."""
        if len(parts) <= 1:
            return parts[0] if parts else cls()
        before = np.cumsum([0, *(part.text.size for part in parts[:-1])])
        ends = [part.ends + at for part, at in zip(parts, before.tolist(), strict=True)]
        return cls(np.concatenate([part.text for part in parts]), np.concatenate(ends))

    def __len__(self) -> int:
        return self.ends.size

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts())

    def texts(self) -> list[str]:
        """Give them one by one."""
        if not len(self):
            return []
        whole = self.text.tobytes()
        found = whole[:-1].decode().split(BEHIND)
        if len(found) == len(self):
            return found
        starts = [0, *(self.ends[:-1] + 1).tolist()]
        return [whole[a:b].decode() for a, b in zip(starts, self.ends.tolist(), strict=True)]

    def part(self, start: int, stop: int) -> UserIds:
        """Give some neighbours."""
        ends = self.ends[start:stop]
        if not ends.size:
            return UserIds()
        first = int(self.ends[start - 1]) + 1 if start else 0
        return UserIds(self.text[first : int(ends[-1]) + 1], ends - first)

    def at(self, rows: NDArray[np.int64]) -> UserIds:
        """Give those in these rows."""
        if not rows.size:
            return UserIds()
        if width := width_of(self.text, self.ends):
            return UserIds(
                self.text.reshape(-1, width)[rows].ravel(), np.arange(1, rows.size + 1) * width - 1
            )
        sizes = np.diff(self.ends, prepend=-1)[rows]
        ends = np.cumsum(sizes) - 1
        moved = np.repeat(self.ends[rows] - ends, sizes)
        return UserIds(self.text[np.arange(moved.size) + moved], ends)

    def key_groups(self, workspaces: int | NDArray[np.int64]) -> Iterator[KeyGroup]:
        """Make their keys; see `heapline.memberships.keys`.

        Args:
            workspaces: the workspace's code, for all or for each.
        """
        return key_groups_of(self.text, self.ends, workspaces) if len(self) else iter(())
