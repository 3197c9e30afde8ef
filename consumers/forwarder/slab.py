"""Rows waiting in a lane: slabs, and the slices that requests take off them.

A *slab* is the rows of a stretch that belong to one workspace and were mapped together. With
thousands of workspaces it has one or two rows, so what is known of rows as numbers stands in arrays
that all slabs of one read share; only texts are a slab's own, and gone with it. A slab that waits
for long thus keeps some forty bytes alive for each row read beside its own, no more than the
stretches do which its partition's checkpoint waits for.

Of a value as it was read only the head is kept: `properties`, its last field, is as a rule also the
end of what Heap gets.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from consumers.forwarder.stretch import IS_RECORD
from heapline.outcomes import Source

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from consumers.forwarder.record import Partition, Record
    from consumers.forwarder.stretch import Stretch

    Integers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

SLAB_BYTES: Final = 400
"""Memory reckoned for a slab besides its rows: it may hold one only."""
_BODY_ENDS_WITH: Final = len("}")
"""What follows the properties in a body."""


@dataclass(slots=True, eq=False)
class Mapped:
    """What all rows mapped together share; those of one slab stand next to each other.

    Attributes:
        rows: where each stands in its stretch.
        head_ends: how many bytes the heads of values come to, up to each row.
        tails: how many bytes of each value's end are in its body, too.
        ends: where each body ends when all are put together with commas in between.
        identities: a 64-bit hash of each row's identity.
        make_records: makes records of some.
    """

    rows: Integers
    head_ends: array[int]
    tails: array[int]
    ends: array[int]
    identities: Hashes
    make_records: Callable[[Slice], list[Record]]

    def begin(self, row: int) -> int:
        """Give where a row's body begins when all are put together."""
        return self.ends[row - 1] + 1 if row else 0

    def bytes_between(self, start: int, stop: int) -> int:
        """Count the bytes of heads and bodies of some neighbours, without commas."""
        bodies = self.ends[stop - 1] - self.begin(start) - (stop - start - 1)
        before = self.head_ends[start - 1] if start else 0
        return bodies + self.head_ends[stop - 1] - before


@dataclass(slots=True, eq=False)
class Slab:
    """Rows of one workspace, mapped and waiting in a lane; all numbers are places in `mapped`.

    Attributes:
        mapped: what it shares with others.
        stretch: whose rows they are.
        workspace: likewise.
        first, stop: its rows: from `first` up to before `stop`.
        heads: what is kept of each value.
        body: what Heap gets for all of them, in order, with commas in between.
        start: rows before it were taken already.
    """

    mapped: Mapped
    stretch: Stretch
    workspace: str
    first: int
    stop: int
    heads: list[bytes]
    body: bytes
    start: int

    def __len__(self) -> int:
        return self.stop - self.start

    def fitting(self, most: int, most_bytes: int) -> int:
        """Give how many of the next rows fit into a count and a size, commas included.

        Args:
            most: at least one.
            most_bytes: for all of them.
        """
        ends, start = self.mapped.ends, self.start
        stop = min(start + most, self.stop)
        last = self.mapped.begin(start) + most_bytes - 1
        if ends[stop - 1] <= last:
            return stop - start
        return bisect_right(ends, last, start, stop) - start

    @property
    def partition(self) -> Partition:
        """As of records."""
        return self.stretch.partition

    @property
    def read_at(self) -> float:
        """As of records."""
        return self.stretch.read_at

    @property
    def source(self) -> Source:
        """As of records."""
        return Source.EVENTS

    @property
    def dropped(self) -> bool:
        """As of records."""
        return self.stretch.dropped

    def size(self, count: int) -> int:
        """Give the bytes of the next rows in a request, each with a comma."""
        return self.mapped.ends[self.start + count - 1] - self.mapped.begin(self.start) + 1

    def next_identities(self, count: int) -> Hashes:
        """Hashes of the identities of the next rows."""
        return self.mapped.identities[self.start : self.start + count]

    def take(self, count: int) -> Slice:
        """Take the next rows."""
        taken = Slice(self, self.start, self.start + count)
        self.start += count
        return taken

    def take_records(self) -> list[Record]:
        """Take all rows that are left, each as a record from now on."""
        return self.take(len(self)).records()

    def value_of(self, row: int) -> bytes:
        """Give a row's value as it was read."""
        tail, body = self.mapped.tails[row], self.body_of(row)
        stop = len(body) - _BODY_ENDS_WITH
        return self.heads[row - self.first] + body[stop - tail : stop]

    def body_of(self, row: int) -> bytes:
        """Give what Heap gets for one row."""
        return bytes(self.bodies(row, row + 1))

    def bodies(self, start: int, stop: int) -> memoryview:
        """Give what Heap gets for some rows, with commas in between."""
        mapped = self.mapped
        before = mapped.begin(self.first)
        return memoryview(self.body)[mapped.begin(start) - before : mapped.ends[stop - 1] - before]

    def bytes_between(self, start: int, stop: int) -> int:
        """Count the bytes some rows hold, and their part in the slab's own."""
        own = (stop - start) * (SLAB_BYTES // (self.stop - self.first))
        return self.mapped.bytes_between(start, stop) + own


@dataclass(slots=True, eq=False)
class Slice:
    """Rows of a slab that were taken together, from `start` up to before `stop`."""

    slab: Slab
    start: int
    stop: int

    @property
    def partition(self) -> Partition:
        """As of records."""
        return self.slab.partition

    @property
    def dropped(self) -> bool:
        """As of records."""
        return self.slab.dropped

    @property
    def count(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def body(self) -> memoryview:
        """What Heap gets for them, with commas in between."""
        return self.slab.bodies(self.start, self.stop)

    @property
    def bytes_held(self) -> int:
        """The bytes reckoned for them."""
        return self.slab.bytes_between(self.start, self.stop)

    @property
    def identities(self) -> Hashes:
        """Hashes of their identities."""
        return self.slab.mapped.identities[self.start : self.stop]

    @property
    def rows(self) -> Integers:
        """Where they stand in their stretch."""
        return self.slab.mapped.rows[self.start : self.stop]

    @property
    def offsets(self) -> Integers:
        """As of records."""
        return self.slab.stretch.offsets[self.rows]

    def settle(self, epoch_ms: int) -> None:
        """Write down that Heap took them."""
        self.slab.stretch.settle(self.rows, epoch_ms)

    def records(self) -> list[Record]:
        """Make a record of each row; the rows are these records from now on."""
        stretch, rows = self.slab.stretch, self.rows
        records = self.slab.mapped.make_records(self)
        stretch.states[rows] = IS_RECORD
        stretch.records.update(zip(rows.tolist(), records, strict=True))
        return records
