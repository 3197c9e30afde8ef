"""The demo end to end on the real broker, and proof that its books can fail."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from devstack.demo.books import accounts
from devstack.demo.cast import AURORA, BIRCH, COBALT, DUNE, EMBER, FJORD
from devstack.demo.place import Place
from devstack.demo.reading import read_books
from devstack.demo.run import Plan, run_demo
from devstack.heap_simulator import running_simulator
from heapline.kafka import topics
from tests.on_kafka import read_all, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from devstack.demo.books import Account
    from devstack.demo.verdict import Verdict
    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

EVENTS = 2_000


class HeardSteps:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, what: str) -> None:
        """Remember it."""
        self.begun.append(what)

    def at(self, how_far: str) -> None:
        """See that something is said."""
        assert how_far


@pytest.fixture
def heap() -> Iterator[SimulatorClient]:
    """Give a simulator of its own, because the demo sets its limits, app ids and faults."""
    with running_simulator() as simulator:
        yield simulator


def lost(place: Place) -> dict[str, int]:
    """Read the books again; give who lost how many."""
    rows = accounts(read_books(place.settings()))
    return {row.workspace: row.lost for row in rows if row.lost}


def write_again(place: Place, topic: topics.Topic, workspace: str) -> None:
    """Write one record of a workspace a second time, as a broken forwarder might."""
    settings = place.settings()
    name = topics.Names(place.prefix).topic(topic)
    message = next(m for m in read_all(settings, name) if m.key() == workspace.encode())
    record = {"key": message.key(), "value": message.value(), "headers": message.headers()}
    write(settings, name, [record])


def test_the_demo_shows_every_outcome_and_its_books_can_fail(
    world: World, prefix: str, heap: SimulatorClient
) -> None:
    """Every workspace shows what it is there for; each book falsified afterwards is found out."""
    place = Place(world.bootstrap_servers, world.registry_url, heap.url, prefix)
    steps = HeardSteps()
    verdict = run_demo(place, Plan(EVENTS, seed=3), steps)
    assert verdict.problems == []
    assert verdict.lost == 0
    assert len(steps.begun) == 5
    check_workspaces(verdict)
    assert lost(place) == {}
    write_again(place, topics.DLQ, BIRCH.workspace)
    assert set(lost(place)) == {BIRCH.workspace}
    write_again(place, topics.DEFERRED, DUNE.workspace)
    assert lost(place)[DUNE.workspace] == 1
    write_again(place, topics.OUTCOME_COUNTS, EMBER.workspace)
    assert lost(place)[EMBER.workspace] > 0


def check_workspaces(verdict: Verdict) -> None:
    """See that each workspace shows what it is there for."""
    by = {row.account.workspace: row.account for row in verdict.rows}
    assert list(by) == [m.workspace for m in (AURORA, BIRCH, COBALT, DUNE, EMBER, FJORD)]
    assert sum(account.published for account in by.values()) == EVENTS
    aurora, birch, cobalt = by[AURORA.workspace], by[BIRCH.workspace], by[COBALT.workspace]
    dune, ember, fjord = by[DUNE.workspace], by[EMBER.workspace], by[FJORD.workspace]
    test_traffic = {"preview", "admin", "simulated", "not_sent_by_default"}
    assert aurora.skipped.keys() == test_traffic | {"anonymous"}
    assert aurora.dead_lettered == {"rejected_by_heap": 1}
    assert birch.skipped.keys() == test_traffic | {"anonymous", "filtered"}
    assert birch.dead_lettered == {"undecodable": 1}
    assert cobalt.skipped.keys() == test_traffic
    assert not cobalt.dead_lettered
    assert dune.deferred_for == {"paused_unauthorized": dune.deferred}
    assert dune.deferred > 0
    assert dune.delivered == 0
    assert ember.skipped == {"send_off": ember.published}
    assert fjord.skipped == {"not_connected": fjord.published}
    assert min(aurora.delivered, birch.delivered, cobalt.delivered) > 0
    assert outcome_sum(by.values()) == EVENTS


def outcome_sum(there: Iterable[Account]) -> int:
    """Add up the table as a person would."""
    total: Counter[str] = Counter()
    for each in there:
        total["all"] += each.delivered + each.deferred + each.waiting
        total["all"] += sum(each.skipped.values()) + sum(each.dead_lettered.values())
    return total["all"]
