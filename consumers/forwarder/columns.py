"""Records just read, without an object for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from consumers.forwarder.record import Record
from heapline.outcomes import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from consumers.forwarder.record import Partition
    from heapline.kafka.headers import Headers

    Integers = NDArray[np.int64]

FEWEST: Final = 48
"""Fewer records are dealt with one by one: columns have a price of their own."""


@dataclass(slots=True)
class Columns:
    """Records just read, those of each partition in order, without an object each.

    Attributes:
        partitions: where they were read.
        places: for each record, which of `partitions`.
        offsets, keys, values, headers, read_at: as of records.
    """

    partitions: list[Partition]
    places: Integers
    offsets: Integers
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers | None]
    read_at: float

    def __len__(self) -> int:
        return len(self.values)

    def record(self, row: int) -> Record:
        """Make a record of one."""
        return Record(
            self.partitions[self.places[row]],
            int(self.offsets[row]),
            self.keys[row],
            self.values[row],
            self.headers[row] or [],
            Source.EVENTS,
            self.read_at,
        )
