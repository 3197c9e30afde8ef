"""Event ids: the same source event has the same id, however often it is published.

The formula is public, so that any client in any language computes the same id: see
`docs/publishing.md`, whose test vectors are ours too.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from heapline.words import EventId

if TYPE_CHECKING:
    from collections.abc import Callable

    from heapline.words import UserId, Workspace

NAMESPACE: Final = UUID("20983e24-b1e9-57b3-833d-5090f7044eb8")
"""Heapline's own namespace for UUIDv5 (RFC 9562, 5.5): itself the UUIDv5 of `urn:heapline:event-id`
in the URL namespace. Never changes."""
LONGEST_OWN_ID: Final = 255
"""A source's own id may have so many characters; a longer one is hashed."""


_NAMESPACE_BYTES: Final = NAMESPACE.bytes


def derived_id(
    *,
    workspace: Workspace,
    name: str,
    user_id: UserId | None,
    anonymous_id: str | None,
    session_id: str | None,
    timestamp_ms: int,
    properties: str,
) -> EventId:
    """Derive an id from what happened: UUIDv5 over a canonical JSON array of the arguments.

    The properties are flat and canonical, as `properties.canonical_json` writes them.
    """
    head = orjson.dumps([workspace, name, user_id, anonymous_id, session_id, timestamp_ms])
    return _uuid5(head[:-1] + b"," + properties.encode("utf-8") + b"]")


def own_id(workspace: Workspace, text: str) -> EventId:
    """Take over an id which the source gave: as it is, or its UUIDv5 where it is too long."""
    if len(text) <= LONGEST_OWN_ID:
        return EventId(text)
    return _uuid5(orjson.dumps([workspace, text]))


def fresh_id(now_ms: int, randomness: Callable[[int], bytes] = os.urandom) -> EventId:
    """Make a new id: UUIDv7 (RFC 9562, 5.7), 48 bits of time before 74 random ones."""
    drawn = int.from_bytes(randomness(10), "big")
    time_bits = (now_ms & (1 << 48) - 1) << 80
    version_bits = 0x7 << 76 | (drawn >> 68) << 64
    variant_bits = 0b10 << 62 | drawn & (1 << 62) - 1
    return EventId(_spelled(f"{time_bits | version_bits | variant_bits:032x}"))


def _uuid5(name: bytes) -> EventId:
    """Hash a name within the namespace; `uuid.uuid5` does the same at three times the cost."""
    digest = bytearray(hashlib.sha1(_NAMESPACE_BYTES + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return EventId(_spelled(digest.hex()))


def _spelled(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
