"""The field's words as types, so that a signature reads."""

from __future__ import annotations

from typing import NewType

Workspace = NewType("Workspace", str)
"""One Command AI organisation (`organization_key`)."""

AppId = NewType("AppId", str)
"""One Heap environment; belongs to one workspace."""

UserId = NewType("UserId", str)
"""A workspace's own id of a user."""

EventId = NewType("EventId", str)
"""Identifies one event for ever; Heap's idempotency key."""

SegmentId = NewType("SegmentId", str)
"""Heap's id of a segment, as text."""
