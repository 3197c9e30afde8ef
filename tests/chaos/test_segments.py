"""A short run of `python -m tests.chaos.segments`."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.chaos.segments import run
from tests.chaos.site import site

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROUNDS = 3


def test_killed_roles_agree_in_the_end(world: World, prefix: str, tmp_path: Path) -> None:
    """Killed at random moments: index, store, replay and Heap agree, and verify is clean."""
    chance = Random(prefix)
    with site(world, prefix, tmp_path, chance) as there:
        run(there, chance, ROUNDS)
