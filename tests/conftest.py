"""One real world for the whole run, started when the first test asks for it."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, settings
from rich.console import Console

from devstack.programs import prepare
from devstack.progress import ConsoleReporter
from devstack.stack import ALL
from devstack.temporary import temporary_world

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from devstack.world import World

# Every run tries the same examples, so that a red run is red again: `--hypothesis-profile=search`
# looks for new ones. How long an example takes is the machine's affair.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _PATIENT)
settings.register_profile("same", _PATIENT, derandomize=True)
settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what it starts in the background ignore Ctrl-C, and so would what tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_WORLD_FIXTURES = {"world", "own_world"}


class OwnWorld(Protocol):
    """Starts a world for one test alone."""

    def __call__(self, servers: Collection[str] = ALL, heap_options: Sequence[str] = ()) -> World:
        """Start these servers, of `devstack.stack.ALL`."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs a world, so that `-m "not kafka"` leaves out exactly those.

    Where workers take file after file, those with the most slow tests come first: the last to end
    is then a short one.
    """
    for item in items:
        if _needs_world(item):
            item.add_marker(pytest.mark.kafka)
    if "PYTEST_XDIST_WORKER" in os.environ:
        weights = Counter[Path]()
        for item in items:
            weights[item.path] += _weight(item)
        items.sort(key=lambda item: -weights[item.path])


def _weight(item: pytest.Item) -> int:
    """Give about how many tenths of a second a test takes."""
    if item.get_closest_marker("slow"):
        return 50
    return 10 if item.get_closest_marker("kafka") else 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Kafka before the first test, where no test's time limit counts and progress shows."""
    if any(map(_needs_world, session.items)) and not session.config.option.collectonly:
        prepare(ConsoleReporter(Console(file=sys.__stderr__)))


def _needs_world(item: pytest.Item) -> bool:
    return not _WORLD_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Share a real Kafka, registry and Heap simulator; do not stop them: see `own_world`."""
    with temporary_world() as running:
        yield running


@pytest.fixture
def own_world() -> Iterator[OwnWorld]:
    """Give worlds to break: each takes about four seconds to start, and ends with the test."""
    with ExitStack() as running:

        def start(servers: Collection[str] = ALL, heap_options: Sequence[str] = ()) -> World:
            return running.enter_context(
                temporary_world(servers=servers, heap_options=heap_options)
            )

        yield start


@pytest.fixture
def prefix() -> str:
    """Give a prefix for names of topics, groups and subjects that no other test uses."""
    return f"t{secrets.token_hex(4)}-"
