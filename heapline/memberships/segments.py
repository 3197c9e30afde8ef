"""What the index tells about segments and about its own age."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as its last sync left it.

    Attributes:
        workspace: whose.
        segment_id: Heap's id, as text.
        name: Heap's name; empty where none was ever told.
        status: `syncing`, `complete`, `partial`, `drained`, or `unknown`.
        rhythm: `recurring`, `once` or `unknown`.
        stale: a recurring segment without news for too long.
        last_synced_at_ms: since 1970-01-01 UTC; None before the first sync.
        pages_partition, pages_offset: the latest page it takes into account; -1 where none is.
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

    @property
    def doubtful(self) -> bool:
        """Whether answers about it are to be flagged: it is stale, or only a part arrived."""
        return self.stale or self.status == "partial"


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
