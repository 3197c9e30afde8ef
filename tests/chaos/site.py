"""A site to be ill-treated: all roles as processes, a simulated Heap, and what must come of it."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from devstack.heap_simulator import SimulatorSettings, running_simulator
from devstack.ports import is_free
from heapline.clock import SystemClock
from heapline.heap.connection import Connection, Region
from heapline.kafka import topics
from heapline.memberships import IndexUnavailable
from heapline.words import AppId, Workspace
from state.folder import StateFolder
from state.verify import verify_folder
from tests.chaos.processes import HEAPLINE, Mortal
from tests.consumers.materializer.looking import by_index, by_store
from tests.consumers.materializer.replay import Members, replay
from tests.on_kafka import encoder_for, environment_for, make_topics, settings_for, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World
    from heapline.settings import Settings

WORKSPACE: Final = "acme"
ENVIRONMENT: Final = "11"
_PARTITIONS: Final = 3
_SETTLED_SECONDS: Final = 120.0


@dataclass
class Site:
    """One simulated Heap, its segments as they must be, and the processes.

    Attributes:
        state: the state folder.
        expected: who must be in which segment, by the simulator's own word.
    """

    settings: Settings
    heap: SimulatorClient
    state: Path
    mortals: dict[str, Mortal]
    expected: Members = field(default_factory=dict)

    def start(self) -> None:
        """Start all."""
        for mortal in self.mortals.values():
            mortal.start()

    def end(self) -> None:
        """End all, whatever happened."""
        for mortal in self.mortals.values():
            mortal.end()

    def settle(self) -> None:
        """Wait until everything is as it must be, and look at it from all sides.

        Raises:
            AssertionError: it is not, or nothing becomes of it.
        """
        deadline = time.monotonic() + _SETTLED_SECONDS
        # An index that is not there yet looks like one in which nobody is in anything, which may be
        # what is expected: so the topic is waited for as well.
        for look in (self._by_index, self._replayed, self._by_index):
            while (found := look()) != self.expected:
                told = difference(found, self.expected)
                assert time.monotonic() < deadline, f"not settled:\n{told}"
                for mortal in self.mortals.values():
                    mortal.check()
                time.sleep(0.1)
        verdict = verify_folder(StateFolder(self.state), SystemClock(), patience_seconds=60)
        assert not verdict.problems, verdict.problems

    def finish(self) -> None:
        """Stop all in an orderly way, and compare the store itself."""
        self.mortals.pop("reader").end()
        for mortal in self.mortals.values():
            mortal.stop()
        assert by_store(self.state) == by_index(self.state) == self.expected
        assert not verify_folder(StateFolder(self.state), SystemClock()).problems

    def _by_index(self) -> Members:
        try:
            return by_index(self.state)
        except IndexUnavailable:
            return {}

    def _replayed(self) -> Members:
        topic = self.settings.kafka.prefix + topics.MEMBERSHIPS.name
        return replay(self.settings.kafka.bootstrap_servers, topic)


def difference(found: Members, expected: Members) -> str:
    """Tell where two differ, in counts."""
    lines = []
    for name in sorted(found.keys() | expected.keys()):
        there, wanted = found.get(name, set()), expected.get(name, set())
        if there != wanted:
            lines.append(
                f"{name}: {len(there)} are in, {len(wanted)} should be; "
                f"{len(wanted - there)} lack, {len(there - wanted)} are too many"
            )
    return "\n".join(lines)


@contextmanager
def site(world: World, prefix: str, folder: Path, chance: Random) -> Iterator[Site]:
    """Make topics, a connected workspace, a simulated Heap, and the processes; not started yet."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, _PARTITIONS)
    port = next(n for n in iter(lambda: chance.randrange(20_000, 32_000), -1) if is_free(n))
    with running_simulator(SimulatorSettings()) as heap:
        app = heap.change_partner_app(webhook_url=f"http://127.0.0.1:{port}/heap/webhook")
        _connect(settings, heap.grant(ENVIRONMENT))
        state = folder / "state"
        environment = {
            **environment_for(world, prefix),
            **app.environment(),
            "HEAPLINE_WEB__PORT": str(port),
            "HEAPLINE_STATE__DIRECTORY": str(state),
            "HEAPLINE_MATERIALIZER__REPLICA_SECONDS": "0.5",
            "HEAPLINE_MATERIALIZER__CHECKPOINT_SECONDS": "0.5",
            "HEAPLINE_LOG__FORMAT": "json",
        }
        commands = {
            "serve": [*HEAPLINE, "serve", "--only", "webhook"],
            "apply-syncs": [*HEAPLINE, "apply-syncs"],
            "materialize": [*HEAPLINE, "materialize"],
            "reader": [sys.executable, "-m", "tests.chaos.reading", str(StateFolder(state).index)],
        }
        mortals = {
            name: Mortal(name, command, environment, folder) for name, command in commands.items()
        }
        there = Site(settings, heap, state, mortals)
        try:
            yield there
        finally:
            there.end()
    assert names.prefix == prefix


def _connect(settings: Settings, id_token: str) -> None:
    row = Connection(Workspace(WORKSPACE), 1, 0, AppId(ENVIRONMENT), Region.US, id_token=id_token)
    names = topics.Names(settings.kafka.prefix)
    encoder = encoder_for(settings, names, topics.CONNECTIONS)
    value = encoder.encode(row.to_record())
    write(settings, names.topic(topics.CONNECTIONS), [{"key": WORKSPACE.encode(), "value": value}])
