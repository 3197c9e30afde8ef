"""kill -9 of every role while segments are synced: `python -m tests.chaos.segments`.

Each round sends syncs (shuffled, duplicated, some pages late) and drains, kills some processes
meanwhile, and then looks: index, store, an independent replay of the topic and the simulated Heap
must agree.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Final

from rich.console import Console

from devstack.heap_simulator import SyncOptions
from devstack.progress import ConsoleReporter
from devstack.temporary import temporary_world
from heapline.settings import LogSettings
from heapline.telemetry.logs import configure_logs
from tests.chaos.site import ENVIRONMENT, WORKSPACE, Site, site

if TYPE_CHECKING:
    from collections.abc import Sequence

_USERS: Final = 3_000
_AT_ONCE: Final = 2
_DRAIN_SHARE: Final = 0.15
_NEW_SHARE: Final = 0.2


@dataclass
class Chaos:
    """One run.

    Attributes:
        site: what is ill-treated.
        chance: decides everything; the same seed gives the same plan.
    """

    site: Site
    chance: Random
    segments: int = 0

    def __post_init__(self) -> None:
        self._names: list[str] = []
        self._members: dict[str, set[str]] = {}

    def round(self) -> None:
        """Send, kill, and look."""
        chosen = self._chosen()
        senders = [Thread(target=self._send, args=(each,)) for each in chosen]
        for sender in senders:
            sender.start()
        self._kill()
        for sender in senders:
            sender.join(180)
            assert not sender.is_alive(), "Heap is still sending"
        self._expect(chosen)
        self.site.settle()

    def _chosen(self) -> list[Sending]:
        names = self.chance.sample(self._names, min(len(self._names), _AT_ONCE))
        if len(names) < _AT_ONCE or self.chance.random() < _NEW_SHARE:
            self.segments += 1
            self._names.append(f"seg-{self.segments}")
            names = [*names[: _AT_ONCE - 1], self._names[-1]]
        return [self._sending(name) for name in names]

    def _sending(self, name: str) -> Sending:
        members = self._members.get(name, set())
        leaving = {user for user in members if self.chance.random() < 0.3}
        coming = {
            f"user-{self.chance.randrange(_USERS)}" for _ in range(self.chance.randrange(600))
        }
        self._members[name] = (members - leaving) | coming
        size = self.chance.choice((40, 200, 1_000))
        pages = -(-len(leaving | coming) // size)
        hold = {self.chance.randrange(2, pages + 1)} if pages > 2 else set()
        options = SyncOptions(
            page_size=size,
            order=self.chance.choice(("in_order", "reversed", "shuffled")),
            duplicates=self.chance.choice((0, 0, 1, 2)),
            hold_pages=frozenset(hold if self.chance.random() < 0.4 else ()),
            parallel=self.chance.choice((1, 4)),
            give_up_after_seconds=120,
            seed=self.chance.randrange(10**6),
        )
        return Sending(name, self._members[name], options, self.chance.random() < _DRAIN_SHARE)

    def _send(self, sending: Sending) -> None:
        heap = self.site.heap
        heap.set_segment(ENVIRONMENT, sending.name, name=f"Segment {sending.name}")
        heap.set_members(ENVIRONMENT, sending.name, sorted(sending.members))
        heap.sync(ENVIRONMENT, sending.name, sending.options)
        if sending.drains:
            heap.drain(ENVIRONMENT, sending.name, sending.options)
        while heap.send_late(ENVIRONMENT, sending.name, sending.options).undelivered:
            pass

    def _kill(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            time.sleep(self.chance.random() * 1.5)
            victim = self.site.mortals[self.chance.choice(list(self.site.mortals))]
            victim.kill()
            time.sleep(self.chance.choice((0.0, 0.3)))
            victim.start()

    def _expect(self, chosen: Sequence[Sending]) -> None:
        for sending in chosen:
            key = (WORKSPACE, sending.name)
            self.site.expected[key] = set(sending.members)
            if sending.drains:
                # A second drain within an hour counts as Heap's retry: the name is not used again.
                self._names.remove(sending.name)
                self.site.expected[key] = set()
            if not self.site.expected[key]:
                del self.site.expected[key]


@dataclass(frozen=True)
class Sending:
    """What one round sends of one segment."""

    name: str
    members: set[str]
    options: SyncOptions
    drains: bool


def run(there: Site, chance: Random, rounds: int) -> Chaos:
    """Do so many rounds, and end in an orderly way."""
    chaos = Chaos(there, chance)
    there.start()
    for number in range(1, rounds + 1):
        started = time.monotonic()
        try:
            chaos.round()
        except BaseException:
            for mortal in there.mortals.values():
                sys.stderr.write(f"--- {mortal.name}\n{mortal.said()}\n")
            raise
        deaths = {name: mortal.deaths for name, mortal in there.mortals.items()}
        members = sum(map(len, there.expected.values()))
        seconds = time.monotonic() - started
        sys.stderr.write(
            f"round {number}: {len(there.expected)} segments, {members} memberships, "
            f"killed {deaths}, {seconds:.1f} s\n"
        )
    there.finish()
    return chaos


def main(arguments: Sequence[str]) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.segments")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    chosen = parser.parse_args(arguments)
    configure_logs(LogSettings(level="error"))
    sys.stderr.write(f"seed {chosen.seed}\n")
    chance = Random(chosen.seed)
    with (
        temporary_world(reporter=ConsoleReporter(Console(stderr=True))) as world,
        tempfile.TemporaryDirectory() as folder,
        site(world, "chaos-", Path(folder), chance) as there,
    ):
        chaos = run(there, chance, chosen.rounds)
    sys.stdout.write(f"{chosen.rounds} rounds with {chaos.segments} segments: all agree\n")


if __name__ == "__main__":
    main(sys.argv[1:])
