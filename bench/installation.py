"""A heapline installation of its own for each measurement: prefix, topics, schemas, workspaces."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from bench.events import WORKSPACES
from heapline.errors import TryAgainLater
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.clients import producer_config
from heapline.kafka.codec import FRAMING_BYTES, Encoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import CONNECTIONS, EVENTS, Names
from heapline.settings import PREFIX, KafkaSettings, SchemaRegistrySettings, Settings
from heapline.words import AppId
from operations.schemas import register
from operations.topics import TopicAdministrator
from producers.connections import ConnectionPatch, ConnectionRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from devstack.world import World
    from heapline.events.model import Event
    from heapline.words import Workspace

UNLIMITED: Final = {
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": "1000000000",
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_IDENTITY": "100000000",
}
"""Heap's limits out of the way, so that the machine is what limits."""
_ID_AT: Final = FRAMING_BYTES + 1
_ID_BYTES: Final = 36
_FLUSH_SECONDS: Final = 60.0
_SET_UP_SECONDS: Final = 30.0
_installations = count(1)


@dataclass(slots=True)
class Installation:
    """Topics, schemas and connected workspaces under a prefix of their own.

    Attributes:
        world: the servers.
        heap_url: what plays Heap.
        prefix: of every name in Kafka.
        published: events written, by workspace.
    """

    world: World
    heap_url: str
    prefix: str = field(default_factory=lambda: f"bench{next(_installations)}-")
    published: Counter[str] = field(default_factory=Counter)

    @property
    def settings(self) -> Settings:
        """Settings for this process."""
        return Settings(
            _env_file=None,
            kafka=KafkaSettings(
                bootstrap_servers=self.world.bootstrap_servers,
                prefix=self.prefix,
                timeout_seconds=30.0,
            ),
            schema_registry=SchemaRegistrySettings(url=self.world.registry_url),
        )

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Give a child process its environment; the user's own heapline settings stay out of it."""
        foreign = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
        return {
            **foreign,
            "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": self.world.bootstrap_servers,
            "HEAPLINE_SCHEMA_REGISTRY__URL": self.world.registry_url,
            "HEAPLINE_HEAP__API_URL": self.heap_url,
            "HEAPLINE_KAFKA__PREFIX": self.prefix,
            "HEAPLINE_INSTANCE_ID": "bench",
            "HEAPLINE_LOG__LEVEL": "warning",
            "HEAPLINE_LOG__FORMAT": "json",
            **more,
        }

    def set_up(self, workspaces: Sequence[Workspace] = WORKSPACES) -> Names:
        """Make topics and schemas and connect the workspaces, each to an app of its own."""
        settings = self.settings
        names = Names(self.prefix)
        TopicAdministrator(settings.kafka).apply()
        with Registry(settings.schema_registry) as schemas:
            register(schemas, names)
            connections = ConnectionRegistry(settings.kafka, schemas)
            patch = ConnectionPatch(app_id=app_id(0), region=Region.US, send=Send.ON)
            _patiently(partial(connections.set, workspaces[0], patch))
            self._connect(names, schemas, workspaces)
        return names

    def _connect(self, names: Names, schemas: Registry, workspaces: Sequence[Workspace]) -> None:
        """Write the rows of all but the first at once: one by one, thousands would take minutes."""
        encoder = Encoder("HeapConnection", schemas.id_for_writing(names, CONNECTIONS))
        producer = Producer(producer_config(self.settings.kafka, "bench"))
        now_ms = time.time_ns() // 1_000_000
        for number, workspace in list(enumerate(workspaces))[1:]:
            row = Connection(workspace, 1, now_ms, app_id(number), Region.US, Send.ON)
            topic, value = names.topic(CONNECTIONS), encoder.encode(row.to_record())
            _produce(producer, topic, workspace, value)
        if producer.flush(_FLUSH_SECONDS):
            raise TimeoutError("the broker did not take the connections in time")

    def encoder(self) -> Encoder:
        """Give the encoder of events."""
        with Registry(self.settings.schema_registry) as schemas:
            schema_id = schemas.id_for_writing(Names(self.prefix), EVENTS)
        return Encoder("CommandAIEvent", schema_id)

    def fill(self, events: Iterable[Event], repeat: int = 1) -> int:
        """Write events to the events topic and wait until the broker has them; give how many.

        Args:
            events: what to write.
            repeat: write all of them so often, each time under other event ids; quicker than
                making so many events.
        """
        encoder = self.encoder()
        topic = Names(self.prefix).topic(EVENTS)
        producer = Producer(producer_config(self.settings.kafka, "bench"))
        ready = [(event.workspace, encoder.encode(event.to_record())) for event in events]
        for turn in range(repeat):
            for workspace, value in ready:
                _produce(producer, topic, workspace, renumbered(value, turn))
            self.published.update(workspace for workspace, _ in ready)
        if producer.flush(_FLUSH_SECONDS):
            raise TimeoutError("the broker did not take the events in time")
        return len(ready) * repeat


def app_id(number: int) -> AppId:
    """Give the app id of the workspace at this place."""
    return AppId(str(1_000 + number))


def renumbered(value: bytes, turn: int) -> bytes:
    """Give an encoded event another event id: the id is the first field, with 36 characters."""
    if turn == 0:
        return value
    return b"%b%08x%b" % (value[:_ID_AT], turn, value[_ID_AT + 8 :])


def _produce(producer: Producer, topic: str, workspace: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, key=workspace, value=value)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _patiently(attempt: Callable[[], object]) -> None:
    """Try until it works: a broker that is busy takes a moment to lead topics just made."""
    patience = wait_until(_SET_UP_SECONDS, "the broker did not come to lead its topics")
    while True:
        try:
            attempt()
        except TryAgainLater:
            patience.pause()
        else:
            return


def wait_until(seconds: float, what: str) -> Waiting:
    """Give something to ask again and again until it is so, or `seconds` are over."""
    return Waiting(time.monotonic() + seconds, what)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A bounded wait; see `wait_until`."""

    until: float
    what: str

    def pause(self) -> None:
        """Wait a moment.

        Raises:
            TimeoutError: the time is over.
        """
        if time.monotonic() > self.until:
            raise TimeoutError(self.what)
        time.sleep(0.02)
