"""The loop: reads, asks the dispatcher, sends, writes checkpoints. It decides nothing itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from consumers.forwarder.checkpoint import Checkpoint, collect
from consumers.forwarder.columns import FEWEST
from consumers.forwarder.kafka_source import READ_AT_ONCE
from consumers.forwarder.mapping import request_body
from consumers.forwarder.record import Now, Partition
from consumers.forwarder.totals import Totals
from consumers.forwarder.verdict import Verdict
from heapline.clock import Deadline
from heapline.kafka.clients import translated
from heapline.many_records import give_back_free_memory
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from consumers.forwarder.dispatcher import Dispatcher
    from consumers.forwarder.intake import Intake
    from consumers.forwarder.intakes import Intakes
    from consumers.forwarder.kafka_source import Batch, KafkaSource
    from consumers.forwarder.offsets import OffsetTracker
    from consumers.forwarder.record import Record
    from consumers.forwarder.reporting import Reporter
    from consumers.forwarder.request import Request
    from consumers.forwarder.sender import Sender
    from consumers.forwarder.transaction import CheckpointWriter
    from consumers.forwarder.unknown_schemas import UnknownSchemas
    from heapline.clock import Clock
    from heapline.heap.track import TrackAnswer
    from heapline.kafka.connection_table import Connections
    from heapline.kafka.erasure_log import ErasureLog
    from heapline.settings import ForwarderSettings

_IDLE_SECONDS: Final = 0.05
_BUSY_SECONDS: Final = 0.005
_RESUME_SHARE: Final = 0.75
_WRITTEN_AT_ONCE: Final = 5_000
"""Records one checkpoint writes to other topics, which are in memory once more until then; the rest
follows in the next, at once."""
_ANSWERS_SHARE: Final = 0.75
"""Of a handover's deadline; the rest is left for the last checkpoint."""
_TAKEOVER_SECONDS: Final = 60.0
_FIRST_RETRY_SECONDS: Final = 0.05
_LONGEST_RETRY_SECONDS: Final = 2.0
_log = logger(__name__)


class ForwarderLoop:
    """One forwarder process.

    Args:
        source, sender, writer: the three ends that touch the world.
        dispatcher: every decision.
        intakes: makes decisions on many records at once; asked when there are many.
        unknown: records whose schema is asked for.
        connections: the table of workspaces, already read to its end.
        erasures: whose data was erased, likewise.
        settings, clock: as everywhere.
        stopping: says when to end.
        reporter: tells the world how things are.
    """

    def __init__(
        self,
        *,
        source: KafkaSource,
        sender: Sender,
        writer: CheckpointWriter,
        dispatcher: Dispatcher,
        intakes: Intakes,
        unknown: UnknownSchemas,
        connections: Connections,
        erasures: ErasureLog,
        settings: ForwarderSettings,
        clock: Clock,
        stopping: Callable[[], bool],
        reporter: Reporter,
    ) -> None:
        self.totals = Totals()
        self._source = source
        self._sender = sender
        self._writer = writer
        self._dispatcher = dispatcher
        self._intakes = intakes
        self._intake: Intake | None = None
        self._unknown = unknown
        self._connections = connections
        self._erasures = erasures
        self._settings = settings
        self._clock = clock
        self._stopping = stopping
        self._reporter = reporter
        self._targets: dict[Partition, int] = {}
        self._checkpoint_at = 0.0
        self._started_ms = 0
        self._full = False
        self._moved = 0
        self._quiet = True
        self._deadline: Deadline | None = None
        """Once a stop was asked for: until when everything must be over."""
        dispatcher.placement.partition_count = source.partition_count

    def run(self, *, until_caught_up: bool = False) -> Totals:
        """Forward until told to stop, or until everything there at the start is settled.

        Raises:
            MustStop: see `heapline.errors`; what was settled before is checkpointed if possible.
        """
        started = self._clock.monotonic()
        self._started_ms = self._clock.epoch_ms()
        self._dispatcher.eager = not until_caught_up
        self._source.subscribe(self)
        try:
            while not self._stopping():
                self._turn()
                if until_caught_up and self._caught_up():
                    break
        except KafkaException as error:
            self._source.abandon()
            raise translated(error) from error
        except BaseException:
            self._source.abandon()
            raise
        self._end()
        self.totals.seconds = self._clock.monotonic() - started
        return self.totals

    def _end(self) -> None:
        """Finish what is in flight and write it down while still a member, then leave.

        librdkafka sends no heartbeats from within `close`: a wait in there that outlasts the
        session loses the partitions, and with them the last checkpoint.
        """
        self._deadline = Deadline(self._clock, self._settings.shutdown_seconds)
        self._finish(tuple(self._dispatcher.trackers), self._deadline)
        self._source.close()
        self._sender.close()
        self._reporter.close()

    def _turn(self) -> None:
        now = self._now()
        changed = self._connections.poll() | self._erasures.poll()
        if changed:
            self._dispatcher.connections_changed(changed, now)
        self._take_answers()
        self._read()
        self._send()
        self._write_down(self._now())
        self._reporter.report(self._now(), self.totals, self._writer.failures)

    def _now(self) -> Now:
        return Now(self._clock.monotonic(), self._clock.epoch_ms())

    # --- reading --------------------------------------------------------------------------------

    def _read(self) -> None:
        dispatcher = self._dispatcher
        self._mind_memory()
        busy = self._sender.in_flight > 0
        wait = _BUSY_SECONDS if busy else _IDLE_SECONDS
        # The first event after a while does not wait for more to come.
        wanted = 1 if self._quiet and not busy else READ_AT_ONCE
        batch = self._source.read(wait, dispatcher.trackers, wanted)
        self._quiet = not batch.events()
        now = self._now()
        for record in batch.records:
            dispatcher.take_note(record)
            self._decide(record, now)
        if batch.columns is not None:
            self._intake = self._intake or self._intakes.make()
            self._intake.take(batch.columns, now, partial(self._decide, now=now))
        elif not batch.events() and self._targets and not self._sender.in_flight:
            self._intakes.prepare()  # nobody waits now
        self._note_ends(batch)
        for record, known in self._unknown.resolved(now.monotonic):
            if not known:
                dispatcher.bury_unknown_schema(record, "its schema id stays unknown", now)
            elif record.deferral is None:
                dispatcher.accept(record, now)
            else:
                dispatcher.accept_deferred(record, now)
        if not self._full and not dispatcher.window.full and batch.events() < READ_AT_ONCE:
            self._read_deferred(now)

    def _decide(self, record: Record, now: Now) -> None:
        if not self._unknown.hold_back(record, now.monotonic):
            self._dispatcher.accept(record, now)

    def _read_deferred(self, now: Now) -> None:
        dispatcher = self._dispatcher
        batch = self._source.read_deferred(now.epoch_ms, dispatcher.trackers)
        for record in batch.records:
            dispatcher.take_note(record)
            if not self._unknown.hold_back(record, now.monotonic):
                dispatcher.accept_deferred(record, now)
        self._note_ends(batch)

    def _note_ends(self, batch: Batch) -> None:
        for partition, offset in batch.ends:
            self._dispatcher.reached_end(partition, offset)

    def _mind_memory(self) -> None:
        """Read no more events while too much is held; polling goes on."""
        if self._moved >= _WRITTEN_AT_ONCE:
            give_back_free_memory()  # what was deferred leaves holes that nothing else fits into
            self._moved = 0
        held, bound = self._dispatcher.settling.held_bytes, self._settings.memory_bytes
        if held >= bound:
            self._full = True
        elif held < bound * _RESUME_SHARE:
            self._full = False
        self._source.pause(paused=self._full)

    # --- sending --------------------------------------------------------------------------------

    def _send(self) -> None:
        for request in self._dispatcher.plan(self._now()):
            body = request_body(request.lane.app_id, request.bodies())
            metrics.HEAP_REQUEST_EVENTS.observe(request.events)
            self._sender.send(request, body)

    def _take_answers(self, wait_seconds: float = 0.0) -> None:
        for request, answer, seconds in self._sender.answers(wait_seconds):
            now = self._now()
            events = request.events
            consequence = self._dispatcher.answered(request, answer, now)
            self.totals.requests[consequence.verdict] += 1
            self.totals.events += events
            metrics.HEAP_REQUESTS.labels(consequence.verdict).inc()
            metrics.HEAP_REQUEST_SECONDS.observe(seconds)
            if consequence.verdict is not Verdict.DELIVERED:
                self.totals.retried += events
                metrics.EVENTS_RETRIED.inc(events)
                self._tell(request, answer, consequence.verdict, now)

    def _tell(self, request: Request, answer: TrackAnswer, verdict: Verdict, now: Now) -> None:
        lane = self._dispatcher.lanes.get(request.lane)
        _log.info(
            "heap did not take a request",
            workspace=lane.workspace if lane else "",
            verdict=verdict,
            status=answer.status,
            error=answer.error,
            events=request.events,
            paused=lane.pause if lane else None,
        )
        if verdict is Verdict.RATE_LIMITED:
            fresh = lane is not None and now.monotonic - lane.started_at < _TAKEOVER_SECONDS
            metrics.HEAP_RATE_LIMITED.labels(str(fresh).lower()).inc()
            self.totals.requests[
                "rate_limited_after_takeover" if fresh else "rate_limited_in_rate"
            ] += 1

    # --- writing down ---------------------------------------------------------------------------

    def _write_down(self, now: Now) -> None:
        if now.monotonic < self._checkpoint_at:
            return
        if not self._writer.busy:
            self._checkpoint_at = now.monotonic + self._settings.checkpoint_interval_seconds
            checkpoint = collect(self._dispatcher.trackers, _WRITTEN_AT_ONCE)
            if checkpoint is None:
                return
            if checkpoint.moved() >= _WRITTEN_AT_ONCE:
                self._checkpoint_at = now.monotonic
            self._writer.begin(checkpoint)
        self._step(now.monotonic)

    def _step(self, started: float, timeout_seconds: float = 3.0) -> None:
        checkpoint = self._writer.step(timeout_seconds)
        if checkpoint is None:
            metrics.CHECKPOINTS.labels("delayed").inc()
            wait = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2**self._writer.failures)
            self._checkpoint_at = self._clock.monotonic() + wait
            return
        metrics.CHECKPOINTS.labels("committed").inc()
        metrics.CHECKPOINT_SECONDS.observe(self._clock.monotonic() - started)
        self._committed(checkpoint)

    def _committed(self, checkpoint: Checkpoint) -> None:
        self._dispatcher.settling.let_go(checkpoint)
        self._moved += checkpoint.moved()
        for kind, count in self.totals.add(checkpoint).items():
            metrics.RECORDS_SETTLED.labels(*kind).inc(count)

    # --- partitions coming and going (called while reading) -------------------------------------

    def settle(self) -> None:
        """See `Owner.settle`."""
        deadline = Deadline(self._clock, self._settings.shutdown_seconds)
        while self._writer.busy and not deadline.passed():
            self._step(self._clock.monotonic(), max(0.1, min(3.0, deadline.left())))

    def assigned(self, trackers: Mapping[Partition, OffsetTracker]) -> None:
        """See `Owner.assigned`."""
        ends = self._source.logs(list(trackers))
        unread = 0
        for partition, tracker in trackers.items():
            self._dispatcher.assign(partition, tracker)
            self._targets[partition] = ends[partition].end
            unread += ends[partition].end - tracker.position
        if unread >= FEWEST:
            self._intakes.prepare()

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Finish what is in flight for these partitions, write it down, give them up."""
        self._finish(
            partitions, self._deadline or Deadline(self._clock, self._settings.shutdown_seconds)
        )
        self._drop(partitions)

    def _finish(self, partitions: Collection[Partition], deadline: Deadline) -> None:
        dispatcher = self._dispatcher
        dispatcher.stop_sending(partitions)
        kept_back = self._settings.shutdown_seconds * (1 - _ANSWERS_SHARE)
        while dispatcher.sending_for(partitions) and deadline.left() > kept_back:
            self._take_answers(wait_seconds=min(0.1, deadline.left() - kept_back))
        self._last_checkpoint(deadline)

    def lost(self, partitions: Collection[Partition]) -> None:
        """See `Owner.lost`."""
        self._drop(partitions)

    def _last_checkpoint(self, deadline: Deadline) -> None:
        while not deadline.passed():
            if not self._writer.busy:
                checkpoint = collect(self._dispatcher.trackers, _WRITTEN_AT_ONCE)
                if checkpoint is None:
                    return
                self._writer.begin(checkpoint)
            self._step(self._clock.monotonic(), max(0.1, min(3.0, deadline.left())))
        _log.warning("handed over without a last checkpoint: its records are delivered again")

    def _drop(self, partitions: Collection[Partition]) -> None:
        self._dispatcher.settling.let_go(self._writer.forget(partitions))
        self._dispatcher.release(partitions)
        for partition in partitions:
            self._targets.pop(partition, None)

    # --- knowing where we are -------------------------------------------------------------------

    def _caught_up(self) -> bool:
        """Whether everything there at the assignment is settled and checkpointed.

        That includes deferred and replayed records that were due then, and what waits for its
        schema.
        """
        if not self._source.assigned_once or self._writer.busy or len(self._unknown):
            return False
        return all(map(self._reached, self._targets)) and self._dispatcher.rested(
            self._started_ms, self._now()
        )

    def _reached(self, partition: Partition) -> bool:
        tracker, target = self._dispatcher.trackers[partition], self._targets[partition]
        if self._source.is_events(partition):
            return tracker.next_offset() >= target
        # Of the deferred topic only what is due is waited for; the rest stays in the window.
        read = tracker.position >= target or self._dispatcher.window.full
        return read and not tracker.has_settled
