"""What a forwarder says of itself is what is the case."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from consumers.forwarder import observation
from consumers.forwarder.record import Partition, Record
from consumers.forwarder.reporting import Reporter
from consumers.forwarder.status import SILENT_AFTER_SECONDS, ForwarderStatus
from consumers.forwarder.totals import Totals
from heapline.heap.connection import Send
from heapline.outcomes import Outcome
from heapline.settings import Settings
from heapline.telemetry import metrics
from tests.fakes.virtual_heap import breaks, for_app, says
from tests.fakes.virtual_world import VirtualWorld, connection, limits

if TYPE_CHECKING:
    from consumers.forwarder.status import PartitionStatus, WorkspaceStatus

SMALL = limits(per_app=600, per_identity=60)


def world_of(*workspaces: str) -> VirtualWorld:
    """Make a world of connected workspaces under small limits."""
    return VirtualWorld(*map(connection, workspaces), limits=SMALL)


def seen(world: VirtualWorld) -> dict[str, WorkspaceStatus]:
    """Look at the workspaces now."""
    found, more = observation.workspaces(world.dispatcher, world.limits, world.now())
    assert more == 0
    return {each.workspace: each for each in found}


def blocking(world: VirtualWorld) -> PartitionStatus:
    """Look at the events' partition now."""
    found = observation.partitions(world.dispatcher, world.now())
    return next(each for each in found if each.topic == "events")


def test_nothing_waits_nothing_is_told() -> None:
    """An idle workspace is not worth a line, and no record blocks."""
    world = world_of("a")
    world.publish("a", 20)
    world.run(90)
    assert seen(world) == {}
    assert blocking(world).blocker is None
    assert blocking(world).position == 20


def test_a_backlog_tells_how_long_it_takes_under_heaps_limits() -> None:
    """Ten minutes' worth for the app; a single user's events take longer than their number."""
    world = world_of("a", "b")
    world.publish("a", 6_000, users=600)
    world.publish("b", 300, users=1)
    world.run(20)
    told = seen(world)
    assert told["a"].state == told["b"].state == "open"
    assert told["a"].drain_seconds == pytest.approx((6_000 - 200) / 10, rel=0.1)
    assert told["b"].drain_seconds == pytest.approx((300 - 20) / 60 * 60, rel=0.2)
    assert told["b"].over_identity_limit > 200
    assert 0 < told["a"].budget_share <= 1


@pytest.mark.parametrize(
    ("strike", "state", "reason", "why"),
    [
        (says(401), "paused", "unauthorized", None),
        (says(503, retry_after=20), "backing_off", "", "Heap failed or asked to wait"),
        (breaks(applied=False, seconds=60), "open", "", "in a request to Heap"),
    ],
    ids=["paused", "backing off", "no answer"],
)
def test_trouble_is_named(strike: Any, state: str, reason: str, why: str | None) -> None:  # noqa: ANN401 -- a strike
    """The lane's state, reason and next try, and the record that blocks with its why."""
    world = world_of("a")
    world.heap.faults = [for_app("app-a", strike)]
    world.publish("a", 5)
    world.run(4)
    told = seen(world)["a"]
    assert (told.state, told.reason) == (state, reason)
    assert (told.next_try_ms > world.now().epoch_ms) == (state != "open")
    blocker = blocking(world).blocker
    if why is None:
        assert blocker is None, "its events are deferred and block nothing"
        assert told.deferred == 5
        assert told.drain_seconds is None
    else:
        assert blocker is not None
        assert blocker.offset == 0
        assert blocker.workspace == "a"
        assert why in blocker.why
        assert world.now().epoch_ms - blocker.since_ms == pytest.approx(4_000, abs=600)


def test_the_limit_is_named_as_what_blocks() -> None:
    """The app's own, and the single user's."""
    world = world_of("a")
    world.publish("a", 700, users=700)
    world.run(0.05)
    assert "app is at Heap's limit" in _why_first_waiting(world)
    single = world_of("b")
    single.publish("b", 100, users=1)
    single.run(2)
    assert "limit" in _why_first_waiting(single)


def _why_first_waiting(world: VirtualWorld) -> str:
    tracker = world.dispatcher.trackers[Partition("events", 0)]
    waiting = [r for r in tracker._records if isinstance(r, Record) and r.outcome is None]
    in_flight = {
        record
        for lane in world.dispatcher.lanes.values()
        for request in lane.in_flight.values()
        for record in request.records
    }
    first = next(record for record in waiting if record not in in_flight)
    return observation.why_waiting(world.dispatcher, first, world.now())


def test_a_workspace_on_hold_is_told() -> None:
    """Its events wait for a person, and no time can be given."""
    world = world_of("a")
    world.connections.put(connection("a", send=Send.HOLD))
    world.publish("a", 7)
    world.run(5)
    told = seen(world)["a"]
    assert (told.state, told.deferred, told.drain_seconds) == ("hold", 7, None)


class Sink:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[ForwarderStatus] = []
        self.closed = False

    def write(self, status: ForwarderStatus) -> None:
        """See `StatusSink.write`."""
        self.heard.append(status)

    def close(self) -> None:
        """See `StatusSink.close`."""
        self.closed = True


def test_the_reporter_tells_metrics_and_status() -> None:
    """Every second and every other; a record survives the way through its text."""
    world = world_of("a")
    world.heap.faults = [for_app("app-a", says(503, retry_after=20))]
    world.publish("a", 50)
    sink = Sink()
    settings = Settings(_env_file=None, instance_id="f1", limits=SMALL)
    reporter = Reporter(world.dispatcher, settings, sink)
    totals = Totals(Counter({("a", Outcome.DELIVERED, ""): 5}), Counter({"retry": 3}), 150, 150)
    world.run(10, lambda: reporter.report(world.now(), totals, 1))
    assert 4 <= len(sink.heard) <= 6
    last = sink.heard[-1]
    assert ForwarderStatus.from_json(last.to_json()) == last
    assert last.requests == {"retry": 3}
    assert (last.request_events, last.retried_events) == (150, 150)
    assert last.outcomes == {"delivered": 5}
    assert last.workspaces[0].waiting == 50
    assert metrics.WORKSPACE_WAITING.labels("a")._value.get() == 50
    assert metrics.CHECKPOINT_BLOCKED.labels("events", 0)._value.get() > 7
    reporter.close()
    assert sink.closed


def test_silence_is_noticed() -> None:
    """A killed forwarder leaves its last words behind."""
    status = ForwarderStatus("f1", 1_000_000, 0)
    assert not status.silent(1_000_000 + int(SILENT_AFTER_SECONDS * 1000))
    assert status.silent(1_000_001 + int(SILENT_AFTER_SECONDS * 1000))
    with pytest.raises(ValueError, match="no forwarder's status"):
        ForwarderStatus.from_json(b"{}")
