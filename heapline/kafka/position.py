"""Positions: how far something has come in the topic of segment pages.

The webhook answers with the position of the page it wrote; a lookup that names it waits until the
page is visible. To everybody else it is an opaque text.

Pages of many segments share a partition, and each segment tells for itself how far it has come: so
a position names its segment too, by a digest, as ids may be long and are nobody else's business.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Self

import orjson

HEADER: Final = "Heapline-Position"
AT_LEAST_HEADER: Final = "Heapline-At-Least"
_DIGEST_BYTES: Final = 8
_SHAPE: Final = re.compile(r"p([0-9]{1,9})\.([0-9]{1,19})\.([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in `heap.segment-sync-pages`.

    Attributes:
        partition, offset: where the page stands.
        segment: the digest of the page's segment.
    """

    partition: int
    offset: int
    segment: str

    def __str__(self) -> str:
        return f"p{self.partition}.{self.offset}.{self.segment}"

    @classmethod
    def of(cls, partition: int, offset: int, workspace: str, segment_id: str) -> Self:
        """Give the position of a segment's page."""
        return cls(partition, offset, segment_digest(workspace, segment_id))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        found = _SHAPE.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a position as given in Heapline-Position")
        return cls(int(found[1]), int(found[2]), found[3])


def segment_digest(workspace: str, segment_id: str) -> str:
    """Give what stands for a segment in positions."""
    name = orjson.dumps((workspace, segment_id))
    return hashlib.blake2b(name, digest_size=_DIGEST_BYTES).hexdigest()
