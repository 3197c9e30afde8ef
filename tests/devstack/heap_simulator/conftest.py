"""Simulators to talk to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SimulatorClient, SimulatorSettings, running_simulator
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class HandClock(SystemClock):
    """The machine's clock, put forward by hand."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return super().monotonic() + self.ahead_seconds


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which the simulator itself went wrong, whatever its client saw."""
    yield
    complaints = [record for record in caplog.get_records("call") if record.name == "asyncio"]
    assert not [record for record in complaints if record.levelno >= logging.ERROR]


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[SimulatorClient]:
    """One that explains its refusals and serves all tests of a module."""
    with running_simulator(SimulatorSettings(explain=True)) as simulator:
        yield simulator


@pytest.fixture
def explaining(shared_simulator: SimulatorClient) -> SimulatorClient:
    """The shared one as on a fresh start."""
    shared_simulator.reset()
    shared_simulator.clear_faults()
    return shared_simulator


@pytest.fixture
def simulator() -> Iterator[SimulatorClient]:
    """One of the test's own, as it comes without any setting."""
    with running_simulator() as running:
        yield running
