"""Positions: how far something has come in the topic of segment pages.

The webhook answers with the position of the page it wrote; a lookup that names it waits until the
page is visible. To everybody else it is an opaque text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HEADER: Final = "Heapline-Position"
AT_LEAST_HEADER: Final = "Heapline-At-Least"
_SHAPE: Final = re.compile(r"p([0-9]{1,9})\.([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in `heap.segment-sync-pages`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"p{self.partition}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        found = _SHAPE.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a position as given in Heapline-Position")
        return cls(int(found[1]), int(found[2]))
