"""Three rounds of trouble for the forwarder in every run of the tests; `make chaos` runs more."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 -- pytest reads it
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator.faults import Status
from devstack.temporary import temporary_world
from tests.chaos.forwarder import main, plans
from tests.chaos.forwarder_plan import FAULTS, Trouble, plan
from tests.chaos.forwarder_round import Round
from tests.chaos.forwarder_soak import Sample, slope

if TYPE_CHECKING:
    from devstack.world import World


@pytest.fixture(scope="module")
def breakable_world() -> Iterator[World]:
    """Give Kafka and a registry that every round may break, and mends."""
    with temporary_world(servers=("kafka", "registry")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("seed", [0, 10, 11])
def test_a_round_ends_with_nothing_lost(breakable_world: World, seed: int) -> None:
    """A kill, a slow network, failing commits, a refusing DLQ, all killed, and more."""
    report = Round(breakable_world, plan(seed)).run()
    assert report.events > 100


def test_a_seed_is_a_round() -> None:
    """The same seed gives the same round, another seed another."""
    assert [plan(seed) for seed in range(30)] == [plan(seed) for seed in range(30)]
    assert len({str(plan(seed)) for seed in range(30)}) == 30


def test_twenty_rounds_have_every_trouble() -> None:
    """Each trouble at least twice, and at least seven rounds with one fault of Heap alone."""
    rounds = [plan(seed) for seed in range(20)]
    for trouble in Trouble:
        assert sum(any(s.trouble is trouble for s in r.steps) for r in rounds) >= 2, trouble
    assert sum(len(r.faults) == 1 for r in rounds) >= 7


def test_two_hundred_rounds_have_every_fault_alone() -> None:
    """Single faults take their turn."""
    alone = {r.faults[0] for r in map(plan, range(200)) if len(r.faults) == 1}
    assert alone == set(FAULTS)


def test_a_round_knows_whether_429_may_come() -> None:
    """Only by order, or after a handover."""
    for each in map(plan, range(60)):
        by_order = any(isinstance(f, Status) and f.status == 429 for f in each.faults)
        assert each.rate_limited == by_order
    assert any(not r.hands_over and not r.rate_limited for r in map(plan, range(60)))


def test_the_command_line_chooses_rounds() -> None:
    """Twenty, one by its seed, or two hundred with the long outages; nonsense is a usage error."""
    from tests.chaos.forwarder import parser  # noqa: PLC0415 -- next to its only use

    assert len(plans(parser().parse_args([]))) == 20
    assert [p.seed for p in plans(parser().parse_args(["--seed", "7"]))] == [7]
    full = plans(parser().parse_args(["--full"]))
    assert len(full) == 202
    assert [p.outage_seconds for p in full[-2:]] == [600.0, 600.0]
    with pytest.raises(SystemExit):
        main(["--nonsense"])


def test_the_slope_leaves_the_warming_out() -> None:
    """Growth in the first quarter is no leak; steady growth is."""
    warming = [Sample(n, min(n, 5) * 10.0, 0, 0, 0) for n in range(40)]
    assert slope(warming) == pytest.approx(0.0)
    leaking = [Sample(n, 100 + 3.0 * n, 0, 0, 0) for n in range(40)]
    assert slope(leaking) == pytest.approx(3.0)
