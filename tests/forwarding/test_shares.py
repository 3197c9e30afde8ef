"""Several forwarders in one group share the work evenly."""

from __future__ import annotations

import json
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest

from heapline.kafka.partition import partition_of
from operations.status import Observer
from tests.forwarding.harness import Forwarding, wait_until

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

pytestmark = pytest.mark.slow

PARTITIONS = 12
EACH = 40


def _one_workspace_a_partition() -> dict[str, str]:
    """Choose workspaces so that every partition holds as much."""
    chosen: dict[int, str] = {}
    names = (f"ws-{number}" for number in count())
    while len(chosen) < PARTITIONS:
        name = next(names)
        chosen.setdefault(partition_of(name.encode(), PARTITIONS), name)
    return {name: f"app-{name}" for name in chosen.values()}


@pytest.mark.parametrize("members", [2, 4])
def test_members_share_partitions_and_events_evenly(
    world: World, prefix: str, heap: SimulatorClient, members: int
) -> None:
    """Each owns as many partitions and delivers as many events as any other."""
    there = Forwarding(world, prefix, heap, partitions=PARTITIONS)
    workspaces = _one_workspace_a_partition()
    there.connect_all(workspaces)
    with ExitStack() as stack, Observer(there.settings, there.names) as observer:

        def owned() -> list[int]:
            look = observer.look()
            if look.unowned:
                return []
            return [len({p.number for p in each.partitions}) for each in look.forwarders]

        processes = [
            stack.enter_context(there.forwarder("--json", HEAPLINE_INSTANCE_ID=f"member-{number}"))
            for number in range(members)
        ]
        even = [PARTITIONS // members] * members
        wait_until(lambda: owned() == even, timeout=90, what="for an even share")
        for workspace in workspaces:
            there.publish(workspace, EACH)
        wait_until(lambda: heap.ledger().accepted == PARTITIONS * EACH, timeout=120)
        wait_until(lambda: observer.look().events_lag == 0, timeout=120)
        shares = [_delivered(there.stop(process)) for process in processes]
    assert shares == [PARTITIONS * EACH // members] * members
    audit = there.audit(list(workspaces.values()))
    audit.check()
    assert audit.duplicates == 0


def _delivered(summary: str) -> int:
    outcomes = json.loads(summary)["outcomes"]
    return sum(line["events"] for line in outcomes if line["outcome"] == "delivered")
