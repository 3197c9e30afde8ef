"""Topics of its own for each test of segment sync on the real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.segment_sync.harness import SegmentSync

if TYPE_CHECKING:
    from devstack.world import World


@pytest.fixture
def syncs(world: World, prefix: str) -> SegmentSync:
    """Give topics and schemas."""
    return SegmentSync(world, prefix)
