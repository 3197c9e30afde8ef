"""A simulator of its own for each test of the whole path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SimulatorSettings, running_simulator
from tests.forwarding.harness import UNLIMITED, Forwarding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World


@pytest.fixture
def heap() -> Iterator[SimulatorClient]:
    """Give a simulator without limits, for this test alone."""
    with running_simulator(SimulatorSettings(limits=UNLIMITED)) as simulator:
        yield simulator


@pytest.fixture
def forwarding(world: World, prefix: str, heap: SimulatorClient) -> Forwarding:
    """Give topics, schemas and one connected workspace: `acme` with app id 11."""
    there = Forwarding(world, prefix, heap)
    there.connect("acme", "11")
    return there
