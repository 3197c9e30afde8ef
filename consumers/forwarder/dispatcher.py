"""The forwarder's decisions in one place: records go in, requests and settled records come out.

Pure state, like everything it is made of: no clock, no socket, no Kafka. The loop reads records,
asks `plan`, sends, hands answers back, and writes down what is settled.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from consumers.forwarder.deferral import credible, is_past
from consumers.forwarder.desk import Desk, check_workspace, desk_of
from consumers.forwarder.drain import Drain
from consumers.forwarder.lane import Lane
from consumers.forwarder.mapping import request_overhead
from consumers.forwarder.pause import Pause
from consumers.forwarder.placement import Placement
from consumers.forwarder.read_ahead import ReadAhead
from consumers.forwarder.record import key_text
from consumers.forwarder.request import Consequence
from consumers.forwarder.settling import Settling
from consumers.forwarder.verdict import Verdict, verdict
from heapline.errors import MustStop, Undeliverable
from heapline.events.model import Event
from heapline.outcomes import DeadLetterReason, DeferReason, Source
from heapline.words import Workspace

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Iterator

    from consumers.forwarder.desk import Connections
    from consumers.forwarder.offsets import OffsetTracker
    from consumers.forwarder.record import LaneKey, Now, Partition, Record
    from consumers.forwarder.request import Request
    from consumers.forwarder.trial import Suspect
    from heapline.erasures import Erasures
    from heapline.heap.track import TrackAnswer
    from heapline.kafka.codec import Decoder
    from heapline.settings import ForwarderSettings, LimitSettings

_FEED_EVERY_SECONDS: Final = 0.05
"""Often enough for lanes that hold seconds of events, and cheap with thousands of workspaces."""
_SPILL_EVERY_SECONDS: Final = 0.5
_SPILL_SECONDS_A_LANE: Final = 0.0002
"""With thousands of lanes less often: looking at one takes a microsecond or two."""
_SWEEP_EVERY_SECONDS: Final = 10.0
_DESKS_REMEMBERED: Final = 10_000
"""Anybody can make up workspaces: their desks must not fill memory."""
_WINDOW_MEMORY_SHARE: Final = 0.5


class Dispatcher:
    """What the forwarder knows of its partitions, workspaces and lanes.

    Args:
        limits, settings: see `heapline.settings`.
        decoder: reads events; every schema id it meets must have been learned before.
        connections: the table of workspaces, read to its end.
        rng: for jitter.

    Attributes:
        expiring: deferred records near expiry, counted since the loop last reported them.
        eager: whether deferred records leave as soon as their lane has room, not only when due.
    """

    def __init__(
        self,
        limits: LimitSettings,
        settings: ForwarderSettings,
        decoder: Decoder,
        connections: Connections,
        rng: random.Random,
        erasures: Erasures | None = None,
    ) -> None:
        self.trackers: dict[Partition, OffsetTracker] = {}
        self.lanes: dict[LaneKey, Lane] = {}
        self.window = ReadAhead(
            settings.read_ahead_records, int(settings.memory_bytes * _WINDOW_MEMORY_SHARE)
        )
        self.settling = Settling(limits, settings)
        self.in_flight = 0
        self.expiring = 0
        self.eager = True
        self.placement = Placement()
        self._limits = limits
        self._settings = settings
        self._decoder = decoder
        self._connections = connections
        self._rng = rng
        self._erasures = erasures
        self._desks: dict[str, Desk] = {}
        self._busy: OrderedDict[LaneKey, Lane] = OrderedDict()
        """Lanes that may have something to send, whose turn is next first."""
        self._outdated: set[int] = set()
        """Requests in flight that an earlier version of their connection let through."""
        self._drain = Drain(self.window, self.desk, self.lane_of, limits, settings)
        self._next_request = 0
        self._feed_at = 0.0
        self._spill_at = 0.0
        self._sweep_at = 0.0
        self._near_expiry = 0

    # --- partitions -----------------------------------------------------------------------------

    def assign(self, partition: Partition, tracker: OffsetTracker) -> None:
        """Take a partition over."""
        self.trackers[partition] = tracker

    def stop_sending(self, partitions: Collection[Partition]) -> None:
        """Take waiting records of partitions about to be given up out of the lanes."""
        for lane in self.lanes.values():
            lane.waiting.leave(partitions.__contains__)

    def sending_for(self, partitions: Collection[Partition]) -> bool:
        """Whether a request in flight carries records of these partitions."""
        return any(
            request.carries(partitions)
            for lane in self.lanes.values()
            for request in lane.in_flight.values()
        )

    def release(self, partitions: Collection[Partition]) -> None:
        """Give partitions up: nothing that still waits there is settled here any more.

        Lanes that served only these partitions are forgotten with their budgets: should they come
        back, somebody else may have sent meanwhile.
        """
        for partition in partitions:
            tracker = self.trackers.pop(partition, None)
            self.settling.dropped(tracker.drop() if tracker else ())
            self.settling.handed_over(partition)
        self.window.drop()
        left = {partition.number for partition in self.trackers}
        for key, lane in list(self.lanes.items()):
            lane.drop()
            if lane.homes.isdisjoint(left):
                del self.lanes[key]
                self._busy.pop(key, None)

    # --- records in -----------------------------------------------------------------------------

    def take_note(self, record: Record) -> None:
        """Count a record just read as waiting; its decision follows by one of the two below."""
        self.trackers[record.partition].add(record)
        self.settling.took(record)

    def reached_end(self, partition: Partition, offset: int) -> None:
        """Take note that everything before this offset was read."""
        if partition in self.trackers:
            self.trackers[partition].reached(offset)

    def accept(self, record: Record, now: Now) -> None:
        """Decide on a record of the events topic, or on a deferred one that is due."""
        try:
            self._decide(record, now)
        except Undeliverable as error:
            self._bury(record, DeadLetterReason(error.reason), str(error), now)

    def accept_deferred(self, record: Record, now: Now) -> None:
        """Keep a record of the deferred topic until it is due, or let it expire."""
        record.workspace = key_text(record.key)
        self.settling.came_back(record)
        if record.deferral is not None:
            record.deferral = credible(record.deferral, now.epoch_ms, self._settings)
            if is_past(record.deferral, now.epoch_ms, self._settings.expire_after_seconds):
                self._expire(record, now)
                return
        self.window.add(record)

    def bury_unknown_schema(self, record: Record, error: str, now: Now) -> None:
        """Dead-letter a record whose schema id stayed unknown."""
        record.workspace = key_text(record.key)
        self._bury(record, DeadLetterReason.UNKNOWN_SCHEMA, error, now)

    def _decide(self, record: Record, now: Now) -> None:
        record.workspace = key_text(record.key)
        event = Event.from_record(self._decoder.decode(record.value))
        record.event_id, record.name = event.event_id, event.name
        check_workspace(record, event)
        self.placement.look_at(record)
        desk = self.desk(record.workspace)
        refused = desk.refusal(event)
        if refused is not None:
            self.settling.skipped(record, refused, now)
            return
        if desk.holds:
            self._wait_for(record, DeferReason.HOLD, now)
            return
        if desk.mapper is None or desk.lane is None:  # the gate lets nothing through without them
            raise MustStop(f"the gate let {record.workspace} through without a connection")
        heap_event = desk.mapper.map(event, desk.gate.identity(event) or "")
        self.settling.mapped(record, heap_event.identity, heap_event.body)
        self.lane_for(desk.lane, record.workspace, record.partition).waiting.add(record)

    def desk(self, workspace: str) -> Desk:
        """Give where a workspace's events are judged and mapped."""
        desk = self._desks.get(workspace)
        if desk is None:
            if len(self._desks) >= _DESKS_REMEMBERED:
                self._desks.clear()
            desk = desk_of(Workspace(workspace), self._connections, self._erasures)
            self._desks[workspace] = desk
        return desk

    def lane_for(self, key: LaneKey, workspace: str, partition: Partition) -> Lane:
        """Give the lane for events of a workspace, read from a partition, about to wait in it."""
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(
                key,
                workspace,
                self._limits,
                self._settings,
                request_overhead(key.app_id),
                self.trackers[partition].assigned_at,
            )
        lane.workspace = workspace
        lane.workspaces.add(workspace)
        lane.homes.add(partition.number)
        self._busy[key] = lane
        return lane

    def lane_of(self, workspace: str) -> Lane | None:
        """Give the lane a workspace sends by, if it has one now."""
        key = self.desk(workspace).lane
        return self.lanes.get(key) if key is not None else None

    def holds(self, workspace: str) -> bool:
        """Whether a person wants a workspace's events to wait."""
        return self.desk(workspace).holds

    def connections_changed(self, workspaces: Iterable[str], now: Now) -> None:
        """Judge what waits for these workspaces anew, by their connections as they are now."""
        changed = set(workspaces)
        for workspace in changed:
            self._desks.pop(workspace, None)
        for lane in list(self.lanes.values()):
            if not lane.workspaces.isdisjoint(changed):
                lane.try_now(now.monotonic)
                self._outdated.update(lane.in_flight)
                self._accept_again(lane, now)

    def _accept_again(self, lane: Lane, now: Now) -> None:
        for record in list(lane.waiting.take_all()):
            self.settling.mapped(record, "", b"")
            self.accept(record, now)

    # --- requests out ---------------------------------------------------------------------------

    def plan(self, now: Now) -> Iterator[Request]:
        """Give the requests to send now, lanes taking turns; each counts as sent once given."""
        if now.monotonic >= self._feed_at:
            self._feed_at = now.monotonic + _FEED_EVERY_SECONDS
            self._feed(now)
        if self.in_flight < self._settings.requests_in_flight:
            yield from self._in_turn(now)
        self._spill(now)

    def _in_turn(self, now: Now) -> Iterator[Request]:
        first_turns, again = len(self._busy), deque[Lane]()
        while self.in_flight < self._settings.requests_in_flight and (first_turns or again):
            if first_turns:
                first_turns -= 1
                _, lane = self._busy.popitem(last=False)
            else:
                lane = again.popleft()
                self._busy.pop(lane.key, None)
            request = lane.plan(now.monotonic, self._next_request)
            if not lane.idle:
                self._busy[lane.key] = lane
            if request is not None:
                again.append(lane)
                self._next_request += 1
                self.in_flight += 1
                yield request

    def rested(self, due_ms: int, now: Now) -> bool:
        """Whether no deferred record that was due at a time is on its way, or could be.

        Records of a workspace that is paused or on hold stay deferred and are not waited for.
        """
        on_their_way = any(not lane.idle and lane.pause is None for lane in self.lanes.values())
        return not on_their_way and not any(
            self._drain.room(workspace, now.monotonic)
            for workspace in self.window.due_workspaces(due_ms)
        )

    def next_look(self, now: float) -> float | None:
        """Give when `plan` should be asked again if nothing happens before, or None."""
        times = (lane.next_look(now) for lane in self._busy.values())
        return min((time for time in times if time is not None), default=None)

    def answered(self, request: Request, answer: TrackAnswer, now: Now) -> Consequence:
        """Settle what an answer settles; one for a partition given up meanwhile settles nothing."""
        self.in_flight -= 1
        outdated = request.id in self._outdated
        self._outdated.discard(request.id)
        lane = self.lanes.get(request.lane)
        if lane is None or request.id not in lane.in_flight:
            return Consequence(verdict(answer.status))
        consequence = lane.answered(request, answer, now, self._rng)
        for record in consequence.delivered:
            self.settling.delivered(record, now)
        for rows in consequence.rows:
            self.settling.delivered_rows(rows, now)
        for suspect in consequence.poison:
            self._refused(suspect, DeadLetterReason.REJECTED_BY_HEAP, now)
        for suspect in consequence.too_large:
            self._refused(suspect, DeadLetterReason.TOO_LARGE, now)
        if consequence.verdict is not Verdict.DELIVERED:
            if outdated:
                self._accept_again(lane, now)
            self._spill_lane(lane, now)
        if lane.idle:
            self._busy.pop(lane.key, None)
        else:
            self._busy[lane.key] = lane
        return consequence

    # --- outcomes that are not delivery ---------------------------------------------------------

    def _refused(self, suspect: Suspect, reason: DeadLetterReason, now: Now) -> None:
        error = f"Heap answered {suspect.status} to this event alone"
        self._bury(suspect.record, reason, error, now, suspect)

    def _bury(
        self,
        record: Record,
        reason: DeadLetterReason,
        error: str,
        now: Now,
        answer: Suspect | None = None,
    ) -> None:
        """Dead-letter a record, unless that is a flood: then its workspace pauses instead."""
        if self.settling.bury(record, reason, error, now, answer):
            return
        lane = self.lane_of(record.workspace)
        if lane is not None and lane.pause is None:
            lane.pause_for(Pause.DEAD_LETTERS, now.monotonic)
        self._wait_for(record, DeferReason.PAUSED_DEAD_LETTERS, now)

    def _wait_for(self, record: Record, reason: DeferReason, now: Now) -> None:
        """Defer a record of the events topic; one that was deferred before waits in the window."""
        self.settling.mapped(record, "", b"")
        if record.source is Source.EVENTS or record.deferral is None:
            self._defer(record, reason, now)
            return
        later_ms = now.epoch_ms + int(self._settings.deferral_min_seconds * 1000)
        due_ms = max(record.deferral.not_before_ms, later_ms)
        record.deferral = replace(record.deferral, not_before_ms=due_ms, reason=reason)
        self.window.add(record)

    def _defer(self, record: Record, reason: DeferReason, now: Now) -> None:
        self.settling.defer(record, reason, self.window.backlog(record.workspace), now)

    # --- what must not wait in a lane; what waits in the window ---------------------------------

    def _spill(self, now: Now) -> None:
        if now.monotonic >= self._spill_at:
            seconds = len(self._busy) * _SPILL_SECONDS_A_LANE
            self._spill_at = now.monotonic + max(_SPILL_EVERY_SECONDS, seconds)
            for lane in [each for each in self._busy.values() if each.may_spill(now.monotonic)]:
                self._spill_lane(lane, now)
            if self.window.full:
                elsewhere = self.settling.deferred_elsewhere()
                for record in self._drain.let_in(elsewhere, now.monotonic):
                    self._defer(record, DeferReason.OVER_LIMIT, now)
        if now.monotonic >= self._sweep_at:
            self._sweep_at = now.monotonic + _SWEEP_EVERY_SECONDS
            self._forget_lanes(now.monotonic)
            self._sweep_window(now)

    def _spill_lane(self, lane: Lane, now: Now) -> None:
        for record, reason in lane.take_spill(now.monotonic):
            if reason is not None:
                self._wait_for(record, reason, now)
            elif record.attempts:  # another one is to be the next probe
                self._wait_for(record, DeferReason.OVER_LIMIT, now)
            else:
                self.settling.mapped(record, "", b"")
                self.window.add(record)
        for record in lane.waiting.take_overblocked(self._drain.most_fed):
            if self.window.full:
                self.settling.mapped(record, "", b"")
                self._defer(record, DeferReason.IDENTITY_OVER_LIMIT, now)
            else:
                self._wait_for(record, DeferReason.IDENTITY_OVER_LIMIT, now)

    def _sweep_window(self, now: Now) -> None:
        """Let records expire that were read long ago and never became due to a lane that sends."""
        for record in self.window.take_past(now.epoch_ms, self._settings.expire_after_seconds):
            self._expire(record, now)
        near = self.window.count_past(now.epoch_ms, self._settings.expiry_warning_seconds)
        self.expiring += max(0, near - self._near_expiry)
        self._near_expiry = near

    def _expire(self, record: Record, now: Now) -> None:
        with suppress(Undeliverable):  # whatever it is, its time is over
            event = Event.from_record(self._decoder.decode(record.value))
            record.event_id, record.name = event.event_id, event.name
        self._bury(record, DeadLetterReason.EXPIRED, "deferred for too long", now)

    def _forget_lanes(self, now: float) -> None:
        """Forget lanes that hold nothing a new one would not: no events, no budget, no pause."""
        for key, lane in list(self.lanes.items()):
            if not lane.idle:
                continue
            lane.budget.advance(now)
            moved = self.desk(lane.workspace).lane != key
            if moved or (lane.open(now) and lane.budget.used == 0):
                del self.lanes[key]
                self._busy.pop(key, None)

    def _feed(self, now: Now) -> None:
        """Move records from the window to lanes that can send them soon."""
        window = self.window
        which = window.ready_workspaces if self.eager else window.due_workspaces
        take = window.take_ready if self.eager else window.take_due
        for workspace in which(now.epoch_ms):
            room = self._drain.room(workspace, now.monotonic)
            for record in take(workspace, now.epoch_ms, room):
                record.read_at = now.monotonic
                self.accept(record, now)
            for record, reason in self._drain.make_room(workspace, now.monotonic, now.epoch_ms):
                self._defer(record, reason, now)
