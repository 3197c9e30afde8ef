"""Keys of the segment topics."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.segment_keys import (
    membership_key,
    memberships_partition,
    read_key,
    segment_key,
)
from heapline.kafka.partition import partition_of
from heapline.words import SegmentId, UserId, Workspace

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(texts, texts, texts)
def test_keys_are_canonical_json_and_can_be_taken_apart(ws: str, user: str, segment: str) -> None:
    """Whoever writes a key in another language by RFC 8785 gets the same bytes."""
    key = membership_key(Workspace(ws), UserId(user), SegmentId(segment))
    assert key == rfc8785.dumps([ws, user, segment])
    assert read_key(key, 3) == (ws, user, segment)
    assert read_key(segment_key(Workspace(ws), SegmentId(segment)), 2) == (ws, segment)


@pytest.mark.parametrize(
    "key", [None, b"", b"acme", b"[]", b'["a"]', b'["a",1]', b'["a","b","c"]', b'{"a":"b"}']
)
def test_other_keys_are_told(key: bytes | None) -> None:
    """A number is no id: it would be another key than its text."""
    with pytest.raises(ValueError, match="the key is"):
        read_key(key, 2)


def test_the_memberships_of_a_workspace_lie_where_its_name_does() -> None:
    """As a record with the workspace as its key would be placed."""
    assert memberships_partition(Workspace("acme"), 12) == partition_of(b"acme", 12)
