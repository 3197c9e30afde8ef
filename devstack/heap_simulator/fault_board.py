"""Which of the ordered faults strike a request: pure, with time and randomness handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devstack.heap_simulator.faults import (
    DecidingFault,
    Fault,
    Hang,
    Latency,
    Poison,
    Reset,
    SpoilingFault,
    TooLarge,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """What a fault may look at.

    Attributes:
        app_id: None where the body had none.
        events: as they came, valid or not.
        size_bytes: of the body.
    """

    app_id: str | None
    events: Sequence[object]
    size_bytes: int


@dataclass(slots=True)
class FaultPlan:
    """What is done to one request.

    Attributes:
        wait_before_seconds: before Heap looks at it.
        wait_after_seconds: between applying and answering.
        verdict: the fault that takes Heap's place, if any.
        delivery: the fault that spoils the answer, if any.
        kinds: of all faults that strike, in the order of the list.
    """

    wait_before_seconds: float = 0.0
    wait_after_seconds: float = 0.0
    verdict: DecidingFault | None = None
    delivery: SpoilingFault | None = None
    kinds: tuple[str, ...] = ()


@dataclass(slots=True)
class ArmedFault:
    """A fault and how often it matched and struck since it was ordered."""

    fault: Fault
    armed_at: float
    matched: int = 0
    struck: int = 0

    def is_spent(self, now: float) -> bool:
        """Whether it can never strike again."""
        times, lifetime = self.fault.times, self.fault.for_seconds
        return (times is not None and self.struck >= times) or (
            lifetime is not None and now >= self.armed_at + lifetime
        )

    def strikes(self, request: SeenRequest, now: float, random: Random) -> bool:
        """Whether it strikes this request; counts it."""
        if self.is_spent(now) or not _concerns(self.fault, request):
            return False
        self.matched += 1
        if self.matched <= self.fault.skip or random.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def report(self, now: float) -> dict[str, Any]:
        """The fault as it was ordered, with its counts."""
        counts = {"matched": self.matched, "struck": self.struck, "spent": self.is_spent(now)}
        return self.fault.model_dump(exclude_none=True) | counts


class FaultBoard:
    """The ordered faults, first of the list first."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.armed: list[ArmedFault] = []

    def replace(self, faults: Sequence[Fault], now: float) -> None:
        """Forget all faults and arm these."""
        self.armed = [ArmedFault(fault, now) for fault in faults]

    def plan(self, request: SeenRequest, now: float) -> FaultPlan:
        """What is done to a request that arrived at `now`.

        All latencies that strike add up. Of the faults that decide, the first that strikes wins
        and the others keep their counts; so do those that spoil an answer if there is none.
        """
        plan = FaultPlan()
        for armed in self.armed:
            if _has_place(plan, armed.fault) and armed.strikes(request, now, self._random):
                _enter(plan, armed.fault, self._random)
        return plan


def _concerns(fault: Fault, request: SeenRequest) -> bool:
    if fault.app_id is not None and fault.app_id != request.app_id:
        return False
    if isinstance(fault, TooLarge):
        return request.size_bytes > fault.above_bytes
    if isinstance(fault, Poison):
        return any(fault.matches(event) for event in request.events)
    return True


def _has_place(plan: FaultPlan, fault: Fault) -> bool:
    if isinstance(fault, Latency):
        return True
    if isinstance(fault, DecidingFault):
        return plan.verdict is None
    return plan.delivery is None and not isinstance(plan.verdict, Reset | Hang)


def _enter(plan: FaultPlan, fault: Fault, random: Random) -> None:
    plan.kinds += (fault.kind,)
    if isinstance(fault, Latency):
        seconds = (fault.ms + random.uniform(0, fault.jitter_ms)) / 1000
        if fault.when == "before":
            plan.wait_before_seconds += seconds
        else:
            plan.wait_after_seconds += seconds
    elif isinstance(fault, DecidingFault):
        plan.verdict = fault
    else:
        plan.delivery = fault
