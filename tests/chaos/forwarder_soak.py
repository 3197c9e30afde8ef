"""One long run: events all the time, a member that stays, one that comes and goes, a moody Heap."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING, Final

import psutil

from devstack.heap_simulator import SimulatorSettings, running_simulator
from tests.chaos.forwarder_members import Members
from tests.chaos.forwarder_plan import FAULTS
from tests.chaos.forwarder_round import APP_IDS, WORKSPACES
from tests.forwarding.harness import UNLIMITED, Forwarding, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devstack.world import World

_MIB: Final = 2**20
_MINUTE: Final = 60.0
_WARM_SHARE: Final = 0.25
"""Of the run; memory still settles in it and is left out of the slope."""
_BURST: Final = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, each minute.

    Attributes:
        hours: since the start.
        rss_mib: of the member that stays.
        published, accepted, duplicates: since the start.
    """

    hours: float
    rss_mib: float
    published: int
    accepted: int
    duplicates: int

    def __str__(self) -> str:
        return (
            f"{self.hours:6.2f} h  {self.rss_mib:6.0f} MiB  {self.published:,} published  "
            f"lag {self.published - self.accepted:,}  {self.duplicates:,} repeated"
        )


def slope(samples: Sequence[Sample]) -> float:
    """Give how fast memory grows once it is warm, in MiB an hour."""
    warm = samples[int(len(samples) * _WARM_SHARE) :]
    if len(warm) < 2:
        return 0.0
    line = linear_regression([s.hours for s in warm], [s.rss_mib for s in warm])
    return line.slope


def soak(world: World, hours: float) -> int:
    """Run so long; print a line each minute, and the slope at the end; 1 if the books are wrong."""
    rng = random.Random(1)
    with running_simulator(SimulatorSettings(limits=UNLIMITED)) as heap:
        there = Forwarding(world, f"soak-{secrets.token_hex(3)}-", heap)
        there.connect_all(dict(zip(WORKSPACES, APP_IDS, strict=True)))
        members = Members(there, world.bootstrap_servers)
        try:
            samples = _live(there, members, rng, hours)
            heap.clear_faults()
            wait_until(lambda: heap.ledger().accepted == len(there.published), timeout=300)
            for name in list(members.running):
                members.leave(name)
        finally:
            members.close()
        audit = there.audit(APP_IDS)
    audit.check()
    print(f"memory: {slope(samples):+.1f} MiB an hour; {audit.duplicates:,} events repeated")
    return int(set(audit.in_heap) != there.published)


def _live(there: Forwarding, members: Members, rng: random.Random, hours: float) -> list[Sample]:
    steady = members.join()
    process = psutil.Process(members.running[steady].pid)
    began = time.monotonic()
    samples: list[Sample] = []
    burst = 0
    while time.monotonic() - began < hours * 60 * _MINUTE:
        minute_ends = time.monotonic() + _MINUTE
        there.heap.faults(*rng.sample(FAULTS, rng.randint(0, 2)))
        visitor = members.join()
        while time.monotonic() < minute_ends:
            for workspace in WORKSPACES:
                there.publish(workspace, _BURST, first=burst * _BURST)
            burst += 1
            time.sleep(0.2)
        (members.kill if rng.random() < 0.5 else members.leave)(visitor)
        members.check()
        ledger = there.heap.ledger()
        samples.append(
            Sample(
                (time.monotonic() - began) / 3_600,
                process.memory_info().rss / _MIB,
                len(there.published),
                ledger.accepted,
                ledger.duplicates,
            )
        )
        print(samples[-1], flush=True)
    return samples
