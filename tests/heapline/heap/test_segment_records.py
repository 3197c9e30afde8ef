"""Memberships and segments survive their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_record import (
    HeapSegment,
    PageAside,
    Rhythm,
    SeenPage,
    SegmentStatus,
    SegmentSync,
    SyncKind,
)
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.words import SegmentId, Workspace
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_LONG = st.integers(-(2**63), 2**63 - 1)
_TIME = st.integers(0, 2**42)


def _codec(contract: str) -> tuple[Encoder, Decoder]:
    return Encoder(contract, 1), Decoder(contract, FakeSchemas({1: schema_text(contract)}))


def _undecodable(_value: bytes) -> Mapping[str, Any]:
    raise AssertionError("a tombstone has nothing to decode")


_CHANGE = st.builds(
    MembershipChange,
    workspace=_TEXT,
    user=_TEXT,
    segment=_TEXT,
    enters=st.booleans(),
    at_ms=_TIME,
    sync=st.none() | _TEXT,
    ends_page=st.booleans(),
)


@given(_CHANGE)
def test_a_change_survives(change: MembershipChange) -> None:
    """Enter and leave alike: who, where, when, by which sync, and whether the page ends."""
    encoder, decoder = _codec("SegmentMembership")
    record = change.to_record()
    value = None if record is None else encoder.encode(record)
    assert (value is None) is not change.enters
    back = MembershipChange.read(change.key(), value, change.headers(), 0, decoder.decode)
    assert back == change


@pytest.mark.parametrize("headers", [[], [("heapline-at", b"soon")], [("heapline-at", None)]])
def test_a_leave_without_our_headers_left_when_it_was_written(
    headers: list[tuple[str, bytes | None]],
) -> None:
    """Whoever wrote it."""
    key = b'["acme","u1","7"]'
    change = MembershipChange.read(key, None, headers, 1_234, _undecodable)
    assert (change.at_ms, change.sync, change.enters) == (1_234, None, False)


@pytest.mark.parametrize("key", [None, b"", b"acme", b'["acme","7"]', b'["acme","u1",7]'])
def test_a_foreign_key_is_refused(key: bytes | None) -> None:
    """A record of something else is no membership."""
    with pytest.raises(ValueError, match="key"):
        MembershipChange.read(key, None, [], 0, _undecodable)


_SYNC = st.builds(
    SegmentSync,
    id=_TEXT,
    ordinal=_LONG,
    kind=st.sampled_from(SyncKind),
    first_offset=_LONG,
    started_at_ms=_TIME,
    last_page_at_ms=_TIME,
    completed_at_ms=st.none() | _TIME,
    total_pages=st.none() | _LONG,
    adds=_LONG,
    removes=_LONG,
    skipped=_LONG,
    pages=st.lists(st.builds(SeenPage, _LONG, _LONG), max_size=3).map(tuple),
)


@given(
    st.builds(
        HeapSegment,
        workspace=_TEXT,
        segment_id=_TEXT,
        updated_at_ms=_TIME,
        pages_partition=st.integers(0, 100),
        pages_offset=_LONG,
        name=_TEXT,
        memberships_offset=_LONG,
        status=st.sampled_from(SegmentStatus),
        rhythm=st.sampled_from(Rhythm),
        has_gap=st.booleans(),
        syncs=st.lists(_SYNC, max_size=3).map(tuple),
        older_syncs=st.lists(_LONG, max_size=3).map(tuple),
        put_aside_count=_LONG,
        put_aside=st.lists(
            st.builds(PageAside, _TIME, _LONG, _TEXT, st.none() | _TEXT), max_size=3
        ).map(tuple),
    )
)
def test_a_segment_survives(segment: HeapSegment) -> None:
    """All of its fields."""
    encoder, decoder = _codec("HeapSegment")
    assert HeapSegment.from_record(decoder.decode(encoder.encode(segment.to_record()))) == segment


def test_a_status_of_a_later_version_is_an_error() -> None:
    """It is not taken for another one."""
    segment = HeapSegment(Workspace("a"), SegmentId("7"), 0, 0, 0, SegmentStatus.COMPLETE)
    with pytest.raises(ValueError, match="frozen"):
        HeapSegment.from_record(segment.to_record() | {"status": "frozen"})
