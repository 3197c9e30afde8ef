"""One round: publish, make trouble, mend everything, and look at the books from outside."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # only its stub lacks them
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from devstack.heap_simulator import Limits, SimulatorSettings, running_simulator
from devstack.heap_simulator.faults import Poison
from heapline.kafka import topics
from heapline.kafka.clients import admin
from tests.chaos import programs
from tests.chaos.forwarder_members import PER_APP, PER_IDENTITY, Members
from tests.chaos.forwarder_plan import APPS, PUBLISHING_SECONDS, Trouble
from tests.chaos.processes import wait_until_it_listens
from tests.chaos.slow_network import SlowNetwork
from tests.forwarding.harness import Forwarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devstack.world import World
    from tests.chaos.forwarder_plan import Plan, Step
    from tests.forwarding.harness import Audit

WORKSPACES: Final = tuple(f"ws-{number}" for number in range(APPS))
APP_IDS: Final = tuple(f"app-{number}" for number in range(APPS))
_HEAP_LIMITS: Final = Limits(
    events_per_minute_per_app=PER_APP, events_per_minute_per_identity=PER_IDENTITY
)
SETTLING_SECONDS: Final = 120.0
_SESSION_SECONDS: Final = 2.0
_BURST: Final = 12
_BURST_SECONDS: Final = 0.25
"""From one to the next."""
_HANDOVER_SECONDS: Final = 60.0
"""Heap counts a minute: so long nobody knows what a predecessor has used."""
_STARTING_SECONDS: Final = 15.0
"""From the start of a process, or the end of one, until partitions have changed hands."""
_OUTAGE_BURST_SECONDS: Final = 2.0
"""Pause between bursts while Heap is out for long: what waits must be sent within the limits."""


@dataclass
class Expected:
    """What was published, and what must become of it."""

    delivered: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    garbage: int = 0


@dataclass
class Report:
    """What a round ended with, for people."""

    plan: Plan
    seconds: float
    events: int
    duplicates: int
    rate_limited: int


class Round:
    """One round on a world that may be broken.

    Args:
        world: Kafka and registry, broken and mended here.
        plan: what happens.
    """

    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._expected = Expected()
        self._pause_seconds = _BURST_SECONDS

    def run(self) -> Report:
        """Run it.

        Raises:
            AssertionError: something was lost, doubled or miscounted; says what.
        """
        started = time.monotonic()
        settings = SimulatorSettings(limits=_HEAP_LIMITS, seed=self._plan.seed)
        with (
            running_simulator(settings) as heap,
            SlowNetwork(self._world.kafka.port) as network,
        ):
            self._network = network
            self._there = there = Forwarding(
                self._world, f"c{self._plan.seed}-{secrets.token_hex(3)}-", heap
            )
            there.connect_all(dict(zip(WORKSPACES, APP_IDS, strict=True)))
            direct = self._world.bootstrap_servers
            address = network.address if self._plan.through_proxy else direct
            self._members = Members(there, address, **self._more_settings())
            try:
                self._live()
                audit = self._settle()
            finally:
                self._members.close()
                self._mend_world()
            self._check(audit)
        return Report(
            self._plan,
            time.monotonic() - started,
            len(self._expected.delivered),
            audit.duplicates,
            len(self._said_429),
        )

    def _more_settings(self) -> dict[str, str]:
        if not self._plan.outage_seconds:
            return {}
        return {"HEAPLINE_FORWARDER__POLL_TIMEOUT_SECONDS": "60"}

    # --- living ---------------------------------------------------------------------------------

    def _live(self) -> None:
        self._order_faults()
        for _ in range(self._plan.members):
            self._members.join()
        with self._publishing():
            self._wait(lambda: self._there.heap.ledger().requests > 0, "for the first request")
            began = time.monotonic()
            for step in self._plan.steps:
                time.sleep(max(0.0, began + step.at_seconds - time.monotonic()))
                _DO[step.trouble](self, step)
                self._members.check()
            if self._plan.outage_seconds:
                self._be_out(self._plan.outage_seconds)
            time.sleep(max(0.0, began + PUBLISHING_SECONDS - time.monotonic()))

    def _be_out(self, seconds: float) -> None:
        """Let Heap answer nobody; the members must stay members all the while."""
        self._there.heap.faults(self._plan.outage)
        self._pause_seconds = _OUTAGE_BURST_SECONDS
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._members.check()
            time.sleep(1.0)
        self._pause_seconds = _BURST_SECONDS
        self._order_faults()

    def _order_faults(self) -> None:
        poison = [Poison(idempotency_key=f"{w}-{number}") for w in WORKSPACES for number in (7, 90)]
        self._there.heap.faults(*poison, *self._plan.faults)

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        """Publish bursts of every kind until left."""
        ended, failed = threading.Event(), []

        def publish() -> None:
            burst = 0
            try:
                while not ended.wait(self._pause_seconds):
                    for workspace in WORKSPACES:
                        self._publish_burst(workspace, burst)
                    burst += 1
            except Exception as error:  # noqa: BLE001 -- raised again below
                failed.append(error)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if failed:
            raise failed[0]

    def _publish_burst(self, workspace: str, burst: int) -> None:
        there, expected, first = self._there, self._expected, burst * _BURST
        events = [there.event(workspace, first + n) for n in range(_BURST)]
        poison = {f"{workspace}-{number}" for number in (7, 90)}
        ids = {str(event.event_id) for event in events}
        expected.dead |= ids & poison
        expected.delivered |= ids - poison
        if burst % 4 == 1:
            odd = [
                there.event(workspace, 100_000 + burst, is_preview=True),
                there.event(workspace, 200_000 + burst, user_id=None),
            ]
            expected.skipped |= {str(event.event_id) for event in odd}
            too_long = there.event(workspace, 300_000 + burst, user_id="u" * 256)
            expected.dead.add(str(too_long.event_id))
            events += [*odd, too_long]
        there.publish_events(events)
        if burst % 8 == 3:
            there.publish_raw([(workspace.encode(), b"no event")])
            expected.garbage += 1

    # --- mending, and looking -------------------------------------------------------------------

    def _mend_world(self) -> None:
        for server in (self._world.kafka, self._world.registry):
            server.resume()
            server.start()
        self._network.delay_seconds = 0.0
        self._network.commit_errors.share = 0.0

    def _settle(self) -> Audit:
        """Mend everything, let one forwarder finish, and read the books once nothing waits."""
        self._mend_world()
        poison = [Poison(idempotency_key=f"{w}-{number}") for w in WORKSPACES for number in (7, 90)]
        self._there.heap.faults(*poison)
        self._members.check()
        if not self._members.running:
            self._members.join()
        self._wait(self._all_delivered, "for all events to arrive")
        self._wait(self._all_settled, "for all checkpoints")
        for name in list(self._members.running):
            self._members.leave(name)
        self._said_429 = [
            each.received_at_ms
            for each in self._there.heap.requests(limit=100_000)
            if each.status == 429
        ]
        return self._there.audit(APP_IDS)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLING_SECONDS + self._plan.outage_seconds
        while not condition():
            self._members.check()
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {SETTLING_SECONDS:.0f} s in vain {what}: {self._gap()}"
                )
            time.sleep(0.3)

    def _gap(self) -> str:
        audit = self._there.audit(APP_IDS)
        missing = sorted(self._expected.delivered - set(audit.in_heap))
        return (
            f"{len(missing)} missing {missing[:5]}, {len(audit.waiting)} waiting, counts "
            f"{dict(audit.counts)}, deferred {audit.deferred_before_commit}/{len(audit.deferrals)}"
        )

    def _all_delivered(self) -> bool:
        return self._there.heap.ledger().accepted >= len(self._expected.delivered)

    def _all_settled(self) -> bool:
        audit = self._there.audit(APP_IDS)
        return not audit.waiting and audit.deferred_before_commit == len(audit.deferrals)

    def _check(self, audit: Audit) -> None:
        expected = self._expected
        audit.check(skipped=expected.skipped)
        assert set(audit.in_heap) == expected.delivered, "not exactly what was eligible is in Heap"
        assert set(audit.dead) == expected.dead, "not exactly the undeliverable is dead-lettered"
        undecodable = sum(letter.reason == "undecodable" for letter in audit.dead_letters)
        assert undecodable == expected.garbage
        assert audit.total("delivered") == len(expected.delivered)
        assert audit.total("skipped") == len(expected.skipped)
        assert audit.total("dead_lettered") == len(expected.dead) + expected.garbage
        if not self._plan.rate_limited:
            unasked = sum(map(self._without_reason, self._said_429))
            assert not unasked, f"{unasked} answers of 429, and nobody asked for them"
        for log in self._there.logs:
            assert "MAXPOLL" not in log, "a member was put out because it did not read"

    def _without_reason(self, at_ms: int) -> bool:
        """Tell whether no partition changed hands in the minute before an answer of 429."""
        since = at_ms - int((_HANDOVER_SECONDS + _STARTING_SECONDS) * 1000)
        changed = self._members.changed_at_ms if self._plan.hands_over else []
        return not any(since <= each <= at_ms for each in changed)

    # --- troubles -------------------------------------------------------------------------------

    def _any_member(self) -> str:
        if not self._members.running:
            return self._members.join()
        return next(iter(self._members.running))

    def _kill(self, step: Step) -> None:
        self._members.kill(self._any_member())
        time.sleep(step.lasts_seconds / 4)
        self._members.join()

    def _kill_all(self, _step: Step) -> None:
        """Nobody is left: what is checkpointed now must be in Heap, or written down elsewhere."""
        count = max(1, len(self._members.running))
        for name in list(self._members.running):
            self._members.kill(name)
        self._there.audit(APP_IDS).check(skipped=self._expected.skipped)
        for _ in range(count):
            self._members.join()

    def _join_leave(self, step: Step) -> None:
        name = self._members.join("-c", programs.FLEETING)
        wait_until_it_listens(self._members.running[name])
        time.sleep(2 * step.lasts_seconds)
        self._members.leave(name)

    def _rolling_restart(self, _step: Step) -> None:
        for name in list(self._members.running):
            self._members.join()
            time.sleep(1.0)
            self._members.leave(name)

    def _freeze(self, step: Step) -> None:
        process = self._members.running[self._any_member()]
        process.send_signal(signal.SIGSTOP)
        time.sleep(_SESSION_SECONDS + step.lasts_seconds / 2)
        process.send_signal(signal.SIGCONT)
        self._members.changed()

    def _broker_kill(self, step: Step) -> None:
        self._world.kafka.kill()
        time.sleep(step.lasts_seconds / 2)
        self._world.kafka.start()

    def _broker_pause(self, step: Step) -> None:
        self._world.kafka.pause()
        time.sleep(step.lasts_seconds)
        self._world.kafka.resume()

    def _slow_network(self, step: Step) -> None:
        self._network.delay_seconds = 0.15
        time.sleep(step.lasts_seconds)
        self._network.delay_seconds = 0.0

    def _commit_errors(self, step: Step) -> None:
        """Let a third of the commits fail until some have."""
        errors = self._network.commit_errors
        errors.share = 0.33
        time.sleep(step.lasts_seconds)
        self._wait(lambda: errors.spoiled > 0, "for a commit to fail")
        errors.share = 0.0

    def _registry_outage(self, step: Step) -> None:
        self._world.registry.kill()
        self._members.kill(self._any_member())
        self._members.join()
        time.sleep(step.lasts_seconds)
        self._world.registry.start()

    def _dlq_refuses(self, step: Step) -> None:
        self._dlq_needs_replicas("2")
        time.sleep(step.lasts_seconds)
        self._dlq_needs_replicas("1")

    def _dlq_needs_replicas(self, count: str) -> None:
        entry = ConfigEntry(
            "min.insync.replicas", count, incremental_operation=AlterConfigOpType.SET
        )
        dlq = ConfigResource(
            ResourceType.TOPIC,
            self._there.names.topic(topics.DLQ),
            incremental_configs=[entry],
        )
        client = admin(self._there.settings.kafka)
        client.incremental_alter_configs([dlq])[dlq].result(20)

    def _clock_jumps(self, step: Step) -> None:
        name = self._members.join("-c", programs.JUMPY)
        wait_until_it_listens(self._members.running[name])
        time.sleep(step.lasts_seconds)
        self._members.leave(name)


_DO: Final = {
    Trouble.KILL: Round._kill,
    Trouble.JOIN_LEAVE: Round._join_leave,
    Trouble.ROLLING_RESTART: Round._rolling_restart,
    Trouble.FREEZE: Round._freeze,
    Trouble.BROKER_KILL: Round._broker_kill,
    Trouble.BROKER_PAUSE: Round._broker_pause,
    Trouble.SLOW_NETWORK: Round._slow_network,
    Trouble.REGISTRY_OUTAGE: Round._registry_outage,
    Trouble.DLQ_REFUSES: Round._dlq_refuses,
    Trouble.CLOCK_JUMPS: Round._clock_jumps,
    Trouble.COMMIT_ERRORS: Round._commit_errors,
    Trouble.KILL_ALL: Round._kill_all,
}
