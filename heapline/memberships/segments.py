"""What the index tells about segments and about its own age."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from heapline.heap.freshness import Heard, freshness

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as its last sync left it; a reader gives it as of now.

    Attributes:
        workspace: whose.
        segment_id: Heap's id, as text.
        name: Heap's name; empty where none was ever told.
        status: `syncing`, `complete`, `partial`, `drained`, or `unknown`.
        rhythm: `recurring`, `once` or `unknown`.
        stale: recurring, and nothing came for too long, of the workspace's other segments neither.
        last_synced_at_ms: since 1970-01-01 UTC; None before the first sync.
        pages_partition, pages_offset: the latest page it takes into account; -1 where none is.
        last_page_at_ms: when the latest page of the newest sync or drain was accepted.
        has_gap: some page was put aside: members may be wrong until it is drained and synced anew.
        disconnected: it belongs to an environment of Heap's that was left, and is being emptied.
    """

    workspace: str
    segment_id: str
    name: str = ""
    status: str = "unknown"
    rhythm: str = "unknown"
    stale: bool = False
    last_synced_at_ms: int | None = None
    pages_partition: int = -1
    pages_offset: int = -1
    last_page_at_ms: int | None = None
    has_gap: bool = False
    disconnected: bool = False

    def facts(self) -> dict[str, Any]:
        """Give its attributes; `dataclasses.asdict` would copy each, with every generation."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def doubtful(self) -> bool:
        """Whether answers are to be flagged: it is stale, disconnected, or only a part arrived."""
        return self.stale or self.has_gap or self.disconnected or self.status == "partial"

    def at(self, now_ms: int, workspace_newest_ms: int | None) -> SegmentRow:
        """Give what time has made of it; see `heapline.heap.freshness`.

        Args:
            now_ms: since 1970-01-01 UTC.
            workspace_newest_ms: the newest `last_synced_at_ms` of the workspace's segments.
        """
        heard = Heard(self.status, self.rhythm, self.last_synced_at_ms, self.last_page_at_ms)
        now = freshness(heard, workspace_newest_ms, now_ms)
        if (now.status, now.rhythm, now.stale) == (self.status, self.rhythm, self.stale):
            return self
        return replace(self, status=now.status, rhythm=now.rhythm, stale=self.stale or now.stale)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new answers are.

    Attributes:
        generation: grows with everything that is published; fit for an ETag.
        position: topic partitions to the offsets up to which records are contained.
        as_of_ms: when the newest of them was applied, since 1970-01-01 UTC.
    """

    generation: int
    position: Mapping[str, int]
    as_of_ms: int


def id_text(value: object) -> str | None:
    """Give an id as the text it is known by, or None if it is no id: 7, 7.0 and "7" are one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else None
    return str(value) if isinstance(value, int) else None
