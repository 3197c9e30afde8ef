"""Tells the world how the forwarder is: metrics every second, a status record every other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaException, Producer

from consumers.forwarder import observation
from consumers.forwarder.status import ForwarderStatus
from heapline.kafka.clients import admin, producer_config
from heapline.kafka.topics import FORWARDER_STATUS
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from consumers.forwarder.dispatcher import Dispatcher
    from consumers.forwarder.record import Now
    from consumers.forwarder.status import PartitionStatus, WorkspaceStatus
    from consumers.forwarder.totals import Totals
    from heapline.kafka.topics import Names
    from heapline.settings import Settings

_METRICS_EVERY_SECONDS: Final = 1.0
_METRICS_SELDOM_SECONDS: Final = 10.0
_SECONDS_A_LANE: Final = 0.001
_STATUS_EVERY_SECONDS: Final = 2.0
_log = logger(__name__)


class StatusSink(Protocol):
    """Where a forwarder's status goes."""

    def write(self, status: ForwarderStatus) -> None:
        """Take the newest; never waits and never raises for what the brokers do."""
        ...

    def close(self) -> None:
        """Say that this forwarder has ended in good order."""
        ...


class Reporter:
    """Looks at the dispatcher now and then.

    Args:
        dispatcher: looked at, never changed but for its counts taken.
        settings: limits, memory, instance id.
        sink: hears the status; None where nobody listens.
    """

    def __init__(
        self, dispatcher: Dispatcher, settings: Settings, sink: StatusSink | None = None
    ) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._sink = sink
        self._metrics_at = 0.0
        self._status_at = 0.0
        self._started_ms: int | None = None

    def report(self, now: Now, totals: Totals, checkpoint_failures: int) -> None:
        """Do what is due.

        Args:
            now: the time.
            totals: since the start.
            checkpoint_failures: of the checkpoint under way.
        """
        if self._started_ms is None:
            self._started_ms = now.epoch_ms
        if now.monotonic < self._metrics_at:
            return
        self._metrics_at = now.monotonic + _seconds_between(len(self._dispatcher.lanes))
        partitions = list(observation.partitions(self._dispatcher, now))
        workspaces, more = observation.workspaces(self._dispatcher, self._settings.limits, now)
        self._counts()
        self._lanes(now)
        _set_partitions(partitions, now)
        _set_workspaces(workspaces)
        if self._sink is None or now.monotonic < self._status_at:
            return
        self._status_at = now.monotonic + _STATUS_EVERY_SECONDS
        self._sink.write(
            ForwarderStatus(
                self._settings.instance_id,
                now.epoch_ms,
                self._started_ms,
                partitions,
                workspaces,
                more,
                {str(verdict): count for verdict, count in totals.requests.items()},
                self._dispatcher.in_flight,
                self._dispatcher.settling.held_bytes,
                self._settings.forwarder.memory_bytes,
                checkpoint_failures,
                totals.events,
                totals.retried,
                {str(outcome): count for outcome, count in totals.by_outcome().items()},
            )
        )

    def close(self) -> None:
        """Say that this forwarder is gone."""
        if self._sink is not None:
            self._sink.close()

    def _counts(self) -> None:
        dispatcher = self._dispatcher
        metrics.RECORDS_HELD.set(sum(len(t) for t in dispatcher.trackers.values()))
        metrics.RECORDS_HELD_BYTES.set(dispatcher.settling.held_bytes)
        for source, count in dispatcher.settling.take_read().items():
            metrics.RECORDS_READ.labels(source).inc(count)
        if dispatcher.expiring:
            metrics.EXPIRING.inc(dispatcher.expiring)
            _log.warning("deferred records are near expiry", records=dispatcher.expiring)
            dispatcher.expiring = 0
        misplaced = dispatcher.placement.take_count()
        if misplaced:
            metrics.MISPLACED.inc(misplaced)
            _log.warning(
                "records outside their workspace's partition: a writer does not partition by "
                "murmur2; see docs/publishing.md",
                records=misplaced,
            )

    def _lanes(self, now: Now) -> None:
        metrics.LANE_PAUSED.clear()
        states = {"open": 0, "backing_off": 0, "paused": 0}
        for lane in self._dispatcher.lanes.values():
            if lane.pause is not None:
                states["paused"] += 1
                metrics.LANE_PAUSED.labels(lane.workspace, lane.pause).set(1)
            else:
                states["open" if lane.open(now.monotonic) else "backing_off"] += 1
        for state, count in states.items():
            metrics.LANES.labels(state).set(count)


def _seconds_between(lanes: int) -> float:
    """Give how long to wait for the next report: looking at thousands of lanes takes its time."""
    return min(_METRICS_SELDOM_SECONDS, max(_METRICS_EVERY_SECONDS, lanes * _SECONDS_A_LANE))


def _set_partitions(partitions: list[PartitionStatus], now: Now) -> None:
    metrics.CHECKPOINT_BLOCKED.clear()
    for each in partitions:
        if each.blocker is not None:
            age = (now.epoch_ms - each.blocker.since_ms) / 1000
            metrics.CHECKPOINT_BLOCKED.labels(each.topic, each.number).set(age)


def _set_workspaces(workspaces: list[WorkspaceStatus]) -> None:
    """Only workspaces with something waiting carry a label: there may be very many."""
    for gauge in (metrics.WORKSPACE_WAITING, metrics.WORKSPACE_DRAIN, metrics.WORKSPACE_BUDGET):
        gauge.clear()
    for each in workspaces:
        metrics.WORKSPACE_WAITING.labels(each.workspace).set(each.waiting + each.deferred)
        metrics.WORKSPACE_BUDGET.labels(each.workspace).set(each.budget_share)
        if each.drain_seconds is not None:
            metrics.WORKSPACE_DRAIN.labels(each.workspace).set(each.drain_seconds)


class StatusTopic:
    """`StatusSink` on the compacted topic; where that is missing, nothing is written.

    Raises:
        KafkaException: from the constructor, if no broker answers.
    """

    def __init__(self, settings: Settings, names: Names) -> None:
        self._topic = names.topic(FORWARDER_STATUS)
        self._key = settings.instance_id.encode()
        self._producer: Producer | None = None
        there = admin(settings.kafka).list_topics(timeout=settings.kafka.timeout_seconds).topics
        if self._topic in there:
            self._producer = Producer(producer_config(settings.kafka, "status"))
        else:
            _log.warning(
                "no status for `heapline status`: run `heapline topics apply`", topic=self._topic
            )

    def write(self, status: ForwarderStatus) -> None:
        """See `StatusSink.write`."""
        self._produce(status.to_json())

    def close(self) -> None:
        """See `StatusSink.close`."""
        self._produce(None)
        if self._producer is not None:
            self._producer.flush(1.0)

    def _produce(self, value: bytes | None) -> None:
        if self._producer is None:
            return
        try:
            self._producer.produce(self._topic, value, self._key)
            self._producer.poll(0)
        except (BufferError, KafkaException) as error:  # the next one tells more
            _log.debug("status not written", error=str(error))
