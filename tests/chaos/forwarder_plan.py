"""What happens in one round, drawn from its seed alone; pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from devstack.heap_simulator.faults import (
    Fault,
    Hang,
    Latency,
    Reset,
    Status,
    TooLarge,
    Trickle,
    Truncated,
)

APPS: Final = 5
PUBLISHING_SECONDS: Final = 10.0


class Trouble(StrEnum):
    """What is done to forwarders, brokers and the registry."""

    KILL = "kill -9 of a member"
    JOIN_LEAVE = "members join and leave every 500 ms"
    ROLLING_RESTART = "every member is replaced in turn"
    FREEZE = "a member stands still for longer than its session"
    BROKER_KILL = "the broker is killed and started again"
    BROKER_PAUSE = "the broker stands still"
    SLOW_NETWORK = "300 ms to the broker and back"
    REGISTRY_OUTAGE = "the registry is away while a member starts"
    DLQ_REFUSES = "the dead-letter topic refuses writes"
    CLOCK_JUMPS = "the members' clocks jump by an hour"
    COMMIT_ERRORS = "commits fail, for one partition or for all"
    KILL_ALL = "kill -9 of every member"


THROUGH_PROXY: Final = frozenset({Trouble.SLOW_NETWORK, Trouble.COMMIT_ERRORS})
"""For these the members must reach the broker through the proxy."""
HANDOVERS: Final = frozenset(Trouble) - THROUGH_PROXY - {Trouble.DLQ_REFUSES}
"""After these, Heap may say 429 for a minute: nobody knows what the predecessor sent."""
FAULTS: Final[tuple[Fault, ...]] = (
    Latency(ms=50, jitter_ms=400),
    Status(status=429, probability=0.15, retry_after_seconds=1),
    Status(status=429, probability=0.15, retry_after_seconds=1, retry_after_form="date"),
    Status(status=500, probability=0.3),
    Status(status=503, probability=0.3, applied=True),
    Status(status=401, app_id="app-1", times=6),
    Status(status=404, app_id="app-2", times=3),
    TooLarge(above_bytes=6_000, probability=0.7),
    Reset(probability=0.25),
    Reset(probability=0.25, applied=True),
    Hang(probability=0.05),
    Hang(probability=0.05, applied=True),
    Truncated(probability=0.2),
    Trickle(probability=0.3, bytes_per_piece=40, pause_ms=20),
)
_TROUBLES: Final = tuple(Trouble)


@dataclass(frozen=True, slots=True)
class Step:
    """One trouble.

    Attributes:
        at_seconds: after publishing began.
        lasts_seconds: where it lasts.
    """

    at_seconds: float
    trouble: Trouble
    lasts_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A round.

    Attributes:
        members: forwarders at the start.
        faults: of Heap, from the beginning until publishing ends.
        steps: in order; one trouble at a time.
        outage_seconds: how long Heap answers nobody in the middle; 0 in most rounds.
    """

    seed: int
    members: int
    faults: tuple[Fault, ...]
    steps: tuple[Step, ...]
    outage_seconds: float = 0.0

    @property
    def rate_limited(self) -> bool:
        """Whether Heap says 429 by order."""
        return any(isinstance(fault, Status) and fault.status == 429 for fault in self.faults)

    @property
    def through_proxy(self) -> bool:
        """Whether the members reach the broker through the proxy."""
        return any(step.trouble in THROUGH_PROXY for step in self.steps)

    @property
    def outage(self) -> Fault:
        """What Heap is like while it is out."""
        return Hang() if self.seed % 2 == 0 else Reset()

    @property
    def hands_over(self) -> bool:
        """Whether partitions change hands, or a process begins anew."""
        return self.members > 1 or any(step.trouble in HANDOVERS for step in self.steps)

    def __str__(self) -> str:
        steps = "; ".join(f"{step.at_seconds:.1f} s {step.trouble}" for step in self.steps)
        faults = ", ".join(
            f"{f.kind} {f.status}" if isinstance(f, Status) else f.kind for f in self.faults
        )
        return f"seed {self.seed}: {self.members} members; {steps}; Heap: {faults or 'well'}"


def plan(seed: int, *, outage_seconds: float = 0.0) -> Plan:
    """Draw a round: seeds in a row go through every trouble and, every third, single faults."""
    rng = random.Random(seed)
    troubles = [_TROUBLES[seed % len(_TROUBLES)]]
    troubles += rng.sample(_TROUBLES, rng.choice([0, 1, 1, 2]))
    if seed % 3 == 0:
        faults: tuple[Fault, ...] = (FAULTS[(seed // 3) % len(FAULTS)],)
    else:
        faults = tuple(rng.sample(FAULTS, rng.randint(0, 5)))
    steps = [
        Step(at, trouble, rng.uniform(1.5, 4.0))
        for at, trouble in zip(
            sorted(rng.uniform(0.5, PUBLISHING_SECONDS * 0.7) for _ in troubles),
            troubles,
            strict=True,
        )
    ]
    return Plan(seed, rng.randint(1, 3), faults, tuple(steps), outage_seconds)
