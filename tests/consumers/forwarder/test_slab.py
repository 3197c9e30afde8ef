"""Slabs of one read: shared numbers, texts of their own."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.record import Partition
from consumers.forwarder.slab import SLAB_BYTES, Mapped, Slab
from consumers.forwarder.stretch import Stretch

if TYPE_CHECKING:
    from consumers.forwarder.record import Record
    from consumers.forwarder.slab import Slice

_ROW = st.tuples(st.binary(max_size=5), st.binary(max_size=9), st.booleans())
"""The head of a value, its properties, and whether these go to Heap as they are."""


def _no_records(_rows: Slice) -> list[Record]:
    return []


def _slabs(groups: list[list[tuple[bytes, bytes, bool]]]) -> list[Slab]:
    rows = [row for group in groups for row in group]
    bodies = [b"<" + properties + b"}" for _, properties, _ in rows]
    heads = [head if same else head + b"other" for head, _, same in rows]
    stretch = Stretch(
        Partition("events", 0),
        np.arange(len(rows)),
        0.0,
        [],
        np.zeros(len(rows), np.int64),
        np.zeros(len(rows), np.uint8),
        np.zeros(len(rows), np.int64),
    )
    mapped = Mapped(
        np.arange(len(rows)),
        array("q", accumulate(map(len, heads))),
        array("q", [len(properties) * same for _, properties, same in rows]),
        array("q", accumulate(map(len, bodies), lambda end, size: end + 1 + size)),
        np.arange(len(rows)).astype(np.uint64),
        _no_records,
    )
    slabs, first = [], 0
    for group in groups:
        stop = first + len(group)
        body = b",".join(bodies[first:stop])
        slabs.append(Slab(mapped, stretch, "acme", first, stop, heads[first:stop], body, first))
        first = stop
    return slabs


@given(st.lists(st.lists(_ROW, min_size=1, max_size=6), min_size=1, max_size=5))
def test_rows_are_given_as_they_came(groups: list[list[tuple[bytes, bytes, bool]]]) -> None:
    """Each row's value and body are its own, whatever stands beside it in the shared arrays."""
    for slab, group in zip(_slabs(groups), groups, strict=True):
        for row, (head, properties, same) in enumerate(group, slab.first):
            assert slab.body_of(row) == b"<" + properties + b"}"
            assert slab.value_of(row) == head + (properties if same else b"other")


@given(
    st.lists(st.lists(_ROW, min_size=1, max_size=6), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(0, 40),
)
def test_as_many_rows_are_taken_as_fit(
    groups: list[list[tuple[bytes, bytes, bool]]], most: int, most_bytes: int
) -> None:
    """Rows fit up to a count and a size with their commas; slices join to the slab's whole body."""
    for slab in _slabs(groups):
        slices = []
        while slab:
            left = [len(slab.body_of(row)) + 1 for row in range(slab.start, slab.stop)]
            fitting = sum(size <= most_bytes for size in accumulate(left))
            count = slab.fitting(most, most_bytes)
            assert count == min(most, fitting)
            slices.append(slab.take(count or 1))
        assert b",".join(bytes(each.body) for each in slices) == slab.body
        held = sum(each.bytes_held for each in slices)
        assert held == slab.bytes_between(slab.first, slab.stop)
        texts = len(slab.body) - (slab.stop - slab.first - 1) + sum(map(len, slab.heads))
        assert 0 <= texts + SLAB_BYTES - held < slab.stop - slab.first
