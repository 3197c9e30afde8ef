"""What would be sent for the events that wait, and how long it would take under Heap's limits."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from consumers.forwarder.desk import desk_of
from heapline.clock import SystemClock
from heapline.errors import NotReady, Undeliverable
from heapline.events.model import Event
from heapline.kafka import topics
from heapline.kafka.clients import consumer_config, lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.group_offsets import committed
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumers.forwarder.desk import Connections, Desk
    from heapline.kafka.topics import Names
    from heapline.settings import LimitSettings, Settings

_LONGEST_WAIT_SECONDS = 30.0


@dataclass(slots=True)
class WorkspaceForecast:
    """One workspace's share.

    Attributes:
        send: events that would be sent, and how many of them each identity has.
        refused: counts by skip or dead-letter reason; `hold` for events that would be deferred.
    """

    send: int = 0
    identities: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def seconds(self, limits: LimitSettings) -> float:
        """Give how long sending takes at the permitted rates, from an empty budget."""
        busiest = max(self.identities.values(), default=0)
        per_app = self.send / limits.events_per_minute_per_app
        per_identity = busiest / limits.events_per_minute_per_identity
        return 60.0 * max(per_app, per_identity)


@dataclass(slots=True)
class Forecast:
    """What the forwarder would do with what waits now.

    Attributes:
        workspaces: by workspace; empty for records that name none.
        examples: bodies as Heap would get them, as many as were asked for.
    """

    limits: LimitSettings
    workspaces: dict[str, WorkspaceForecast] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain data."""
        return {
            "workspaces": {
                name: {
                    "would_send": share.send,
                    "seconds_at_limits": round(share.seconds(self.limits), 1),
                    "would_not_send": dict(share.refused),
                }
                for name, share in sorted(self.workspaces.items())
            },
            "examples": self.examples,
        }


class Forecaster:
    """Judges and maps records as the forwarder does, and only counts.

    Args:
        decoder, connections: as the forwarder has them.
        limits: for the time it would take.
        show: how many mapped events to keep.
    """

    def __init__(
        self, decoder: Decoder, connections: Connections, limits: LimitSettings, show: int
    ) -> None:
        self.forecast = Forecast(limits)
        self._decoder = decoder
        self._connections = connections
        self._show = show
        self._desks: dict[str, Desk] = {}

    def take(self, value: bytes | None) -> None:
        """Count one record."""
        workspace = ""
        try:
            event = Event.from_record(self._decoder.decode(value))
            workspace = event.workspace
            self._judge(event)
        except Undeliverable as error:
            self._share(workspace).refused[str(error.reason)] += 1

    def _judge(self, event: Event) -> None:
        share = self._share(event.workspace)
        desk = self._desks.get(event.workspace)
        if desk is None:
            desk = self._desks[event.workspace] = desk_of(event.workspace, self._connections)
        refused = desk.gate.judge(event)
        if refused is not None or desk.mapper is None:
            share.refused[str(refused)] += 1
            return
        mapped = desk.mapper.map(event, desk.gate.identity(event) or "")
        if desk.holds:
            share.refused["hold"] += 1
            return
        share.send += 1
        share.identities[mapped.identity] += 1
        if len(self.forecast.examples) < self._show:
            self.forecast.examples.append(mapped.body.decode())

    def _share(self, workspace: str) -> WorkspaceForecast:
        return self.forecast.workspaces.setdefault(workspace, WorkspaceForecast())


def dry_run(settings: Settings, stopping: Callable[[], bool], *, show: int = 0) -> Forecast:
    """Read what the forwarders have not checkpointed yet; nothing is sent, committed or changed.

    Raises:
        KafkaUnavailable, RegistryUnavailable: they do not answer.
        NotReady: the topic or the connections are missing.
    """
    names = topics.Names(settings.kafka.prefix)
    with (
        Registry(settings.schema_registry) as registry,
        closing(lone_consumer(settings.kafka, "dry-run")) as consumer,
        closing(ConnectionFollower(settings.kafka, names, registry)) as connections,
    ):
        deadline = SystemClock().monotonic() + _LONGEST_WAIT_SECONDS
        while not connections.ready:
            connections.poll(0.1)
            if SystemClock().monotonic() > deadline:
                raise NotReady(f"still waiting for {connections.waiting_for}")
        decoder = Decoder("CommandAIEvent", registry)
        forecaster = Forecaster(decoder, connections.table, settings.limits, show)
        topic = names.topic(topics.EVENTS)
        starts = _committed(settings, names, partitions_of(consumer, topic))
        for message in read_to_end(consumer, topic, starts=starts):
            if stopping():
                break
            forecaster.take(message.value())
    return forecaster.forecast


def _committed(settings: Settings, names: Names, numbers: list[int]) -> Mapping[int, int]:
    """Give where the forwarders' group stands, for partitions it has committed."""
    from confluent_kafka import Consumer  # noqa: PLC0415 -- next to its only use

    group = names.group(topics.FORWARDER_GROUP)
    topic = names.topic(topics.EVENTS)
    consumer = Consumer(consumer_config(settings.kafka, "dry-run", group))
    try:
        there = committed(consumer, topic, numbers, settings.kafka.timeout_seconds)
        return {found.partition: found.offset for found in there if found.offset >= 0}
    finally:
        consumer.close()
