"""A forwarder, its topics and Heap in virtual time: minutes pass in milliseconds.

The real decisions are at work: dispatcher, lanes, budgets, offsets, checkpoints; and on the other
side the simulator's own. Only what touches the world is played: logs, clock, network.
"""

from __future__ import annotations

import heapq
import random
from itertools import count
from typing import TYPE_CHECKING, Any

from consumers.forwarder.checkpoint import collect
from consumers.forwarder.deferral import read_deferral
from consumers.forwarder.dispatcher import Dispatcher
from consumers.forwarder.offsets import OffsetTracker
from consumers.forwarder.record import Now, Partition, Record
from devstack.heap_simulator.limits import Limits
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.schemas import schema_text
from heapline.outcomes import Source
from heapline.settings import ForwarderSettings, LimitSettings
from heapline.words import AppId, EventId, UserId, Workspace
from tests.fakes.connections import FakeConnections
from tests.fakes.schema_source import FakeSchemas
from tests.fakes.virtual_heap import VirtualHeap
from tests.fakes.virtual_log import DEFERRED, EVENTS, VirtualLog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from consumers.forwarder.request import Consequence, Request
    from heapline.heap.track import TrackAnswer
    from tests.fakes.virtual_heap import Strike

START_EPOCH_MS = 1_760_000_000_000
SCHEMA_ID = 7
_READ_AT_ONCE = 1_000


def connection(workspace: str, app_id: str | None = None, send: Send = Send.ON) -> Connection:
    """Connect a workspace, by default to an app id of the same name."""
    return Connection(
        Workspace(workspace), 1, 0, AppId(app_id or f"app-{workspace}"), Region.US, send
    )


def limits(per_app: int = 15_000, per_identity: int = 1_000, **more: Any) -> LimitSettings:  # noqa: ANN401 -- any setting
    """Make limits, Heap's own by default."""
    return LimitSettings(
        events_per_minute_per_app=per_app, events_per_minute_per_identity=per_identity, **more
    )


def heap_limits(of: LimitSettings) -> Limits:
    """Make a Heap that keeps the same limits."""
    return Limits(
        events_per_minute_per_app=of.events_per_minute_per_app,
        events_per_minute_per_identity=of.events_per_minute_per_identity,
        events_per_request=of.events_per_request,
    )


_ENCODER = Encoder("CommandAIEvent", SCHEMA_ID)


def learned_decoder() -> Decoder:
    """Make a decoder that knows the events' schema."""
    decoder = Decoder("CommandAIEvent", FakeSchemas({SCHEMA_ID: schema_text("CommandAIEvent")}))
    decoder.learn(SCHEMA_ID)
    return decoder


_DECODER = learned_decoder()


class VirtualWorld:
    """One forwarder after another over the same topics and the same Heap.

    Args:
        connections: of the workspaces.
        limits, settings: the forwarder's.
        partitions: of either topic; a workspace's is derived from its name.
        seed: for everything random.
        tick_seconds: the longest the loop sleeps.
    """

    def __init__(
        self,
        *connections: Connection,
        limits: LimitSettings | None = None,
        settings: ForwarderSettings | None = None,
        heap: Limits | None = None,
        partitions: int = 1,
        seed: int = 0,
        tick_seconds: float = 0.5,
    ) -> None:
        self.limits = limits or LimitSettings()
        self.settings = settings or ForwarderSettings()
        self.connections = FakeConnections(*connections)
        self.rng = random.Random(seed)
        self.heap = VirtualHeap(self.rng, heap or heap_limits(self.limits))
        self.log = VirtualLog(partitions)
        self.tick_seconds = tick_seconds
        self.seconds = 1_000.0
        self.published: dict[str, float] = {}
        self.delivered_at: dict[str, float] = {}
        self.delivered_at_fault: list[str] = []
        self.on_answer: Callable[[Request, TrackAnswer, Consequence], None] | None = None
        self.pinned_seconds = 0.0
        self._numbers = count()
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._life = 0
        self.start()

    # --- the forwarder's life -------------------------------------------------------------------

    def start(self, numbers: Iterable[int] | None = None) -> None:
        """Start a new forwarder from the committed offsets; an old one is forgotten."""
        self._life += 1
        self.dispatcher = Dispatcher(
            self.limits,
            self.settings,
            learned_decoder(),
            self.connections.table,
            random.Random(self.rng.random()),
        )
        self._checkpoint_at = self.seconds
        self.assign(range(self.log.partitions) if numbers is None else numbers)

    def assign(self, numbers: Iterable[int]) -> None:
        """Hand partitions to the forwarder."""
        for number in numbers:
            for topic in (EVENTS, DEFERRED):
                partition = Partition(topic, number)
                tracker = OffsetTracker(self.log.committed[partition], self.seconds)
                self.dispatcher.assign(partition, tracker)

    def revoke(self, numbers: Collection[int], *, drain_seconds: float = 5.0) -> None:
        """Take partitions back as a rebalance does: finish what is in flight, write it down."""
        leaving = [Partition(topic, n) for topic in (EVENTS, DEFERRED) for n in numbers]
        self.dispatcher.stop_sending(leaving)
        end = self.seconds + drain_seconds
        while self.dispatcher.sending_for(leaving) and self.seconds < end and self._queue:
            self.seconds = max(self.seconds, min(end, self._queue[0][0]))
            self._happen()
        self.write_down()
        self.lose(numbers)

    def lose(self, numbers: Collection[int]) -> None:
        """Take partitions away at once."""
        self.dispatcher.release([Partition(t, n) for t in (EVENTS, DEFERRED) for n in numbers])

    def owned(self) -> set[int]:
        """Give the numbers of the partitions the forwarder has."""
        return {partition.number for partition in self.dispatcher.trackers}

    # --- what goes in ---------------------------------------------------------------------------

    def home(self, workspace: str) -> int:
        """Give the number of a workspace's partition."""
        return sum(workspace.encode()) % self.log.partitions

    def event(self, workspace: str, user: str = "u", **more: Any) -> Event:  # noqa: ANN401 -- any field
        """Make an event."""
        now_ms = self.now().epoch_ms
        event_id = EventId(f"{workspace}-{next(self._numbers)}")
        name = more.pop("name", "nudge_shown")
        return Event(event_id, Workspace(workspace), name, UserId(user), now_ms, now_ms, **more)

    def publish(self, workspace: str, events: int = 1, users: int = 50, **more: Any) -> list[str]:  # noqa: ANN401 -- any field
        """Publish events of so many users in turn; give their ids."""
        return self.publish_events(
            self.event(workspace, f"{workspace}-user-{n % users}", **more) for n in range(events)
        )

    def publish_events(self, events: Iterable[Event]) -> list[str]:
        """Publish these."""
        ids = []
        for event in events:
            key = event.workspace.encode()
            self.publish_raw(key, _ENCODER.encode(event.to_record()), self.home(event.workspace))
            self.published[event.event_id] = self.seconds
            ids.append(str(event.event_id))
        return ids

    def publish_raw(self, key: bytes | None, value: bytes | None, number: int = 0) -> int:
        """Publish a record as it is; give its offset."""
        return self.log.append(Partition(EVENTS, number), key, value, [])

    # --- time -----------------------------------------------------------------------------------

    def now(self) -> Now:
        """Read the clock."""
        return Now(self.seconds, START_EPOCH_MS + int(self.seconds * 1000))

    def run(self, seconds: float, each_second: Callable[[], object] | None = None) -> None:
        """Let time pass; call something each second, starting now."""
        end = self.seconds + seconds
        next_call = self.seconds
        while self.seconds < end:
            if each_second is not None and self.seconds >= next_call:
                each_second()
                next_call += 1.0
            self.turn()
            self._sleep(min(end, next_call) if each_second is not None else end)

    def drain(self, seconds: float = 600.0) -> None:
        """Run until everything read is settled and written down."""
        end = self.seconds + seconds
        while self.seconds < end and self._unsettled():
            self.turn()
            self._sleep(end)
        self.turn()
        self.write_down()

    def turn(self) -> None:
        """Do what the loop does once."""
        changed = self.connections.poll()
        if changed:
            self.dispatcher.connections_changed(changed, self.now())
        self._happen()
        self._read()
        self.plan()
        if self.seconds >= self._checkpoint_at:
            self._checkpoint_at = self.seconds + self.settings.checkpoint_interval_seconds
            self.write_down()

    def plan(self) -> None:
        """Send what is to be sent."""
        for request in self.dispatcher.plan(self.now()):
            self._send(request)

    def _sleep(self, end: float) -> None:
        wake = min(end, self.seconds + self.tick_seconds)
        if self._queue:
            wake = min(wake, self._queue[0][0])
        look = self.dispatcher.next_look(self.seconds)
        if look is not None:
            wake = min(wake, look)
        self.seconds = max(self.seconds + 1e-3, wake)

    def _unsettled(self) -> bool:
        return bool(
            self.dispatcher.in_flight
            or any(len(tracker) for tracker in self.dispatcher.trackers.values())
            or any(
                tracker.position < self.log.ends[partition]
                for partition, tracker in self.dispatcher.trackers.items()
            )
        )

    # --- the loop's errands ---------------------------------------------------------------------

    def _happen(self) -> None:
        while self._queue and self._queue[0][0] <= self.seconds:
            heapq.heappop(self._queue)[2]()

    def _read(self) -> None:
        dispatcher, now = self.dispatcher, self.now()
        if dispatcher.settling.held_bytes < self.settings.memory_bytes:
            for record in self._records(EVENTS):
                dispatcher.take_note(record)
                dispatcher.accept(record, now)
            if not dispatcher.window.full:
                for record in self._records(DEFERRED):
                    dispatcher.take_note(record)
                    dispatcher.accept_deferred(record, now)
        for partition, tracker in dispatcher.trackers.items():
            entries = self.log.read(partition, tracker.position, 1)
            if not entries:
                dispatcher.reached_end(partition, self.log.ends[partition])
            blocking = tracker.blocker()
            if blocking is not None and partition.topic == EVENTS:
                self.pinned_seconds = max(self.pinned_seconds, now.monotonic - blocking.read_at)

    def _records(self, topic: str) -> list[Record]:
        found = []
        for partition, tracker in self.dispatcher.trackers.items():
            if partition.topic == topic:
                for entry in self.log.read(partition, tracker.position, _READ_AT_ONCE):
                    deferral = None
                    if topic == DEFERRED:
                        deferral = read_deferral(
                            *partition, entry.offset, entry.headers, self.now().epoch_ms
                        )
                    source = deferral.source if deferral else Source.EVENTS
                    found.append(
                        Record(
                            partition,
                            entry.offset,
                            entry.key,
                            entry.value,
                            entry.headers,
                            source,
                            self.seconds,
                            deferral,
                        )
                    )
        return found

    def _send(self, request: Request) -> None:
        life = self._life
        bodies = [record.body for record in request.records]
        ids = [record.event_id for record in request.records]
        arrives, answers, strike = self.heap.receive(request, self.seconds)
        said: list[TrackAnswer] = []
        self._at(arrives, lambda: said.append(self._arrived(request, bodies, ids, strike)))
        self._at(answers, lambda: self._answered(life, request, said[0]))

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), what))

    def _arrived(
        self, request: Request, bodies: list[bytes], ids: list[str], strike: Strike | None
    ) -> TrackAnswer:
        before = self.heap.ledger.account(request.lane.app_id).accepted
        answer = self.heap.decide(request.lane.app_id, bodies, strike, self.seconds)
        if self.heap.ledger.account(request.lane.app_id).accepted > before:
            for event_id in ids:
                self.delivered_at.setdefault(event_id, self.seconds)
        return answer

    def _answered(self, life: int, request: Request, answer: TrackAnswer) -> None:
        if life != self._life:
            return
        consequence = self.dispatcher.answered(request, answer, self.now())
        if self.on_answer is not None:
            self.on_answer(request, answer, consequence)

    def write_down(self) -> None:
        """Write a checkpoint."""
        checkpoint = collect(self.dispatcher.trackers, 20_000)
        if checkpoint is not None:
            self.log.write_down(checkpoint)
            self.dispatcher.settling.let_go(checkpoint)

    # --- what must hold whatever happens --------------------------------------------------------

    def check(self) -> None:
        """Assert that nothing is lost, nothing is dead twice, and the counts add up exactly."""
        log = self.log
        origins = [origin for origin, _, _ in log.dead]
        assert len(origins) == len(set(origins)), "dead-lettered twice"
        assert log.written("events") == log.before_committed(EVENTS)
        again = log.written("deferred") + log.written("replay")
        assert again == log.before_committed(DEFERRED)
        assert log.outcome("dead_lettered") == len(log.dead)
        assert log.outcome("deferred") == sum(
            len(entries) for p, entries in log.entries.items() if p.topic == DEFERRED
        )
        waiting = {self._id(e.value) for t in (EVENTS, DEFERRED) for e in log.unread(t)}
        dead = {event_id for _, event_id, _ in log.dead}
        skipped = log.outcome("skipped")
        gone = set(self.published) - set(self.delivered_at) - waiting - dead
        assert len(gone) <= skipped, f"lost: {sorted(gone)[:5]}"
        assert not dead & set(self.delivered_at), "delivered and dead-lettered"

    @staticmethod
    def _id(value: bytes | None) -> str:
        return str(_DECODER.decode(value)["event_id"])
