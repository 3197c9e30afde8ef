"""Keys of the segment topics: JSON arrays of texts, the same bytes whoever writes them.

Compaction and partitioning go by these bytes, so they are canonical (RFC 8785): no spaces, UTF-8,
nothing escaped that need not be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from heapline.kafka.partition import partition_of

if TYPE_CHECKING:
    from heapline.words import SegmentId, UserId, Workspace


def segment_key(workspace: Workspace, segment: SegmentId) -> bytes:
    """Give the key of a segment, in `heap.segments` and `heap.segment-sync-pages`."""
    return orjson.dumps((workspace, segment))


def membership_key(workspace: Workspace, user: UserId, segment: SegmentId) -> bytes:
    """Give the key of a membership, in `heap.segment-memberships`."""
    return orjson.dumps((workspace, user, segment))


def membership_key_ends(workspace: Workspace, segment: SegmentId) -> tuple[bytes, bytes]:
    """Give how every membership's key of one segment begins and ends.

    A key that does so may still be another segment's: `read_key` tells.
    """
    return orjson.dumps((workspace,))[:-1] + b",", b"," + orjson.dumps((segment,))[1:]


def memberships_partition(workspace: Workspace, partitions: int) -> int:
    """Give the partition in which all memberships of a workspace lie."""
    return partition_of(workspace.encode("utf-8"), partitions)


def read_key(key: bytes | None, texts: int) -> tuple[str, ...]:
    """Take a key apart into so many texts.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = orjson.loads(key or b"")
    except orjson.JSONDecodeError as error:
        raise ValueError("the key is no JSON") from error
    if not isinstance(found, list) or len(found) != texts:
        raise ValueError(f"the key is not an array of {texts} texts")
    if not all(isinstance(each, str) for each in found):
        raise ValueError(f"the key is not an array of {texts} texts")
    return tuple(found)
