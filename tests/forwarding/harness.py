"""A forwarder as a real process, what goes in, and an independent look at what came of it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import fastavro
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from devstack.heap_simulator import Limits
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka import topics
from heapline.kafka.clients import consumer_config, producer_config
from heapline.kafka.codec import Decoder, frame
from heapline.kafka.group_offsets import committed
from heapline.kafka.headers import DeadLetter, Deferral, Origin
from heapline.kafka.read_to_end import partitions_of
from heapline.kafka.registry import Registry
from heapline.kafka.schemas import schema_text
from heapline.words import AppId, EventId, UserId, Workspace
from tests.on_kafka import encoder_for, environment_for, make_topics, read_all, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

QUICK = {
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": "100000000",
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_IDENTITY": "100000000",
    "HEAPLINE_FORWARDER__CHECKPOINT_INTERVAL_SECONDS": "0.2",
    "HEAPLINE_FORWARDER__BACKOFF_INITIAL_SECONDS": "0.05",
    "HEAPLINE_FORWARDER__BACKOFF_MAX_SECONDS": "0.5",
    "HEAPLINE_FORWARDER__SESSION_TIMEOUT_SECONDS": "2",
    "HEAPLINE_HEAP__TIMEOUT_SECONDS": "2",
    "HEAPLINE_LOG__FORMAT": "json",
}
"""No limits to wait for, short waits: what most fault tests want."""

FOREIGN_HEADER = ("trace", b"\x00\xff not heapline's")
"""On every record published here; must be there still wherever the record goes."""
UNLIMITED = Limits(events_per_minute_per_app=10**9, events_per_minute_per_identity=10**9)
_COMMAND = ("-c", "from cli.main import main; main()")
_Changes = Any
"""Fields to make different, passed on to a dataclass that checks their names."""


@dataclass
class Audit:
    """What the topics and Heap's ledger say, read by nobody's help.

    Attributes:
        committed: by partition of the events topic, the group's offset.
        in_heap, dead, deferred: ids of events in Heap's ledger, in the DLQ, in the deferred topic.
        dead_origins: where each DLQ record first stood.
        counts: the sums of the outcome counts by (source, outcome, reason).
        settled_before_commit: ids of events before the committed offsets.
        waiting: ids of events at or past the committed offsets.
        records_before_commit: how many records stand before the committed offsets.
        deferred_before_commit: the same of the deferred topic.
        duplicates: deliveries under a key that Heap had already.
        conflicting: deliveries under an old key with other content.
    """

    in_heap: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    dead_origins: Counter[str] = field(default_factory=Counter)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    deferred: Counter[str] = field(default_factory=Counter)
    deferrals: list[Deferral] = field(default_factory=list)
    counts: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    settled_before_commit: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    records_before_commit: int = 0
    deferred_before_commit: int = 0
    duplicates: int = 0
    conflicting: int = 0

    def outcome(self, outcome: str, source: str = "events") -> int:
        """Give how many records of a source had this outcome."""
        return sum(n for (s, o, _), n in self.counts.items() if s == source and o == outcome)

    def read(self, source: str) -> int:
        """Give how many records of a source had any outcome."""
        return sum(n for (s, _, _), n in self.counts.items() if s == source)

    def check(self, skipped: Collection[str] = ()) -> None:
        """Assert what must hold whatever happened.

        Args:
            skipped: ids of published events of which only a count may be left.
        """
        assert self.conflicting == 0, "a repeated delivery carried other content"
        assert not set(self.in_heap) & set(self.dead), "in Heap and in the DLQ"
        twice = [each for each in self.dead_letters if self.dead_origins[str(each.origin)] > 1]
        assert not twice, f"dead-lettered twice: {twice}"
        known = set(self.in_heap) | set(self.dead) | set(self.deferred) | set(skipped)
        lost = self.settled_before_commit - known
        assert not lost, (
            f"{len(lost)} events are before the checkpoint and nowhere: {sorted(lost)[:5]}"
        )
        told = self.read("events")
        assert told == self.records_before_commit, (
            f"the counts do not add up: {told} of {self.records_before_commit} records are told of"
        )
        read_again = self.read("deferred") + self.read("replay")
        assert read_again == self.deferred_before_commit, "the deferred counts do not add up"
        assert sum(self.dead_origins.values()) == self.total("dead_lettered")
        assert len(self.deferrals) == self.total("deferred")

    def total(self, outcome: str) -> int:
        """Give how many records of all sources had this outcome."""
        return sum(n for (_, o, _), n in self.counts.items() if o == outcome)


class Forwarding:
    """One test's topics, connections, events, forwarders and audits."""

    def __init__(
        self, world: World, prefix: str, heap: SimulatorClient, partitions: int = 3
    ) -> None:
        self.world = world
        self.heap = heap
        self.settings = settings_for(world, prefix)
        self.names = make_topics(self.settings, partitions)
        self.events = encoder_for(self.settings, self.names, topics.EVENTS)
        self.topic = self.names.topic(topics.EVENTS)
        self.published: set[str] = set()
        self.logs: list[str] = []
        config = producer_config(self.settings.kafka, "test")
        self._producer = Producer(config | {"message.max.bytes": 64 * topics.EVENT_BYTES})
        self._connections = encoder_for(self.settings, self.names, topics.CONNECTIONS)
        self._environment = environment_for(world, prefix)

    # --- what goes in ---------------------------------------------------------------------------

    def connect(self, workspace: str, app_id: str, send: Send = Send.ON, **more: _Changes) -> None:
        """Write a connection's row."""
        self.connect_all({workspace: app_id}, send, **more)

    def connect_all(
        self, app_ids: Mapping[str, str], send: Send = Send.ON, **more: _Changes
    ) -> None:
        """Write rows of many workspaces, each with its app id."""
        rows = [
            replace(Connection(Workspace(workspace), 1, 0, AppId(app_id), Region.US, send), **more)
            for workspace, app_id in app_ids.items()
        ]
        self._write(
            self.names.topic(topics.CONNECTIONS),
            [(row.workspace.encode(), self._connections.encode(row.to_record())) for row in rows],
        )

    def event(self, workspace: str, number: int, /, **changes: _Changes) -> Event:
        """Make an event whose id tells which it is."""
        now_ms = int(time.time() * 1000)
        plain: dict[str, Any] = {
            "event_id": EventId(f"{workspace}-{number}"),
            "workspace": Workspace(workspace),
            "name": "nudge_shown",
            "user_id": UserId(f"user-{number % 97}"),
            "timestamp_ms": now_ms,
            "received_at_ms": now_ms,
            "properties": json.dumps({"number": number, "nudge.id": "n1", "page.path": "/start"}),
        }
        return Event(**(plain | changes))

    def evolved(self, event: Event, **added: str) -> bytes:
        """Write an event by a new version of the contract, with more fields, just registered.

        Compatibility is off for it: these tests want what a registry would refuse, too.
        """
        schema = json.loads(schema_text("CommandAIEvent"))
        schema["fields"] += [{"name": name, "type": "string"} for name in added]
        return self.written_by(schema, event.to_record() | added)

    def written_by(
        self,
        schema: Any,  # noqa: ANN401 -- any Avro schema
        record: Any,  # noqa: ANN401 -- any Avro value
        subject: str | None = None,
    ) -> bytes:
        """Register a schema, by default as the events' own, and write a framed record by it."""
        subject = subject or f"{self.topic}-value"
        with SchemaRegistryClient({"url": self.world.registry_url}) as client:
            client.set_compatibility(subject, "NONE")
            schema_id = client.register_schema(subject, Schema(json.dumps(schema), "AVRO"))
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
        return frame(schema_id, out.getvalue())

    def publish(self, workspace: str, count: int, first: int = 0) -> set[str]:
        """Publish events that Heap should get; give their ids."""
        events = [self.event(workspace, first + n) for n in range(count)]
        self.publish_events(events)
        return {event.event_id for event in events}

    def publish_events(self, events: Sequence[Event]) -> None:
        """Publish these events as any writer would."""
        self.publish_raw(
            [(e.workspace.encode(), self.events.encode(e.to_record())) for e in events]
        )
        self.published.update(event.event_id for event in events)

    def publish_raw(self, records: Sequence[tuple[bytes | None, bytes | None]]) -> list[Origin]:
        """Publish records as they are; give where they stand."""
        return self._write(self.topic, records)

    def _write(
        self, topic: str, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> list[Origin]:
        placed: dict[int, Origin] = {}

        def noted(error: KafkaError | None, message: Message, number: int) -> None:
            assert error is None, error
            placed[number] = _origin(message)

        for number, (key, value) in enumerate(records):
            self._producer.produce(
                topic,
                key=key,
                value=value,
                headers=[FOREIGN_HEADER],
                on_delivery=partial(noted, number=number),
            )
        assert self._producer.flush(60) == 0
        return [placed[number] for number in range(len(records))]

    # --- forwarders -----------------------------------------------------------------------------

    def environment(self, **changes: str) -> dict[str, str]:
        """Give what a forwarder process sees."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEAPLINE_")}
        return {
            **kept,
            **self._environment,
            "HEAPLINE_HEAP__API_URL": self.heap.url,
            **QUICK,
            **changes,
        }

    @contextmanager
    def forwarder(
        self, *arguments: str, program: Sequence[str] = _COMMAND, **changes: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a forwarder process; it is killed in the end if it still runs."""
        command = [sys.executable, *program, "forward", *arguments]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command,
                env=self.environment(**changes),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.communicate()
                log.seek(0)
                self.logs.append(log.read())
                own = [line for line in self.logs[-1].splitlines() if "librdkafka" not in line]
                sys.stderr.write("\n".join([*own[-40:], ""]))

    def catch_up(self, *arguments: str, **changes: str) -> dict[str, Any]:
        """Run a forwarder until everything there is settled; give its JSON summary."""
        with self.forwarder("--until-caught-up", "--json", *arguments, **changes) as process:
            out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, self.logs[-1][-3000:]
        summary: dict[str, Any] = json.loads(out)
        return summary

    @staticmethod
    def stop(process: subprocess.Popen[str], timeout: float = 90) -> str:
        """Ask a forwarder to end (SIGTERM); give what it printed once it has ended well."""
        process.terminate()
        out, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"exit code {process.returncode}"
        return out

    # --- what came of it ------------------------------------------------------------------------

    def audit(self, app_ids: Sequence[str]) -> Audit:
        """Look at the topics and at Heap's ledger."""
        audit = Audit()
        for app_id in app_ids:
            audit.in_heap.update(self.heap.keys(app_id))
            report = self.heap.ledger().apps.get(app_id)
            audit.duplicates += report.duplicates if report else 0
            audit.conflicting += report.conflicting_duplicates if report else 0
        self._read_dlq(audit)
        self._read_deferred(audit)
        self._read_counts(audit)
        self._read_events(audit)
        return audit

    def _read_dlq(self, audit: Audit) -> None:
        for message in read_all(self.settings, self.names.topic(topics.DLQ)):
            letter = DeadLetter.read(headers_of(message))
            audit.dead_letters.append(letter)
            audit.dead_origins[str(letter.origin)] += 1
            if letter.event_id:
                audit.dead[letter.event_id] += 1

    def _read_deferred(self, audit: Audit) -> None:
        topic = self.names.topic(topics.DEFERRED)
        committed = self.committed(topic)
        with Registry(self.settings.schema_registry) as schemas:
            decoder = Decoder("CommandAIEvent", schemas)
            for message in read_all(self.settings, topic):
                before = (message.offset() or 0) < committed.get(message.partition() or 0, 0)
                audit.deferred_before_commit += before
                audit.deferrals.append(Deferral.read(headers_of(message)))
                audit.deferred[decoder.decode(message.value())["event_id"]] += 1

    def _read_counts(self, audit: Audit) -> None:
        with Registry(self.settings.schema_registry) as schemas:
            decoder = Decoder("OutcomeCounts", schemas)
            for message in read_all(self.settings, self.names.topic(topics.OUTCOME_COUNTS)):
                for each in decoder.decode(message.value())["counts"]:
                    kind = (each["source"], each["outcome"], each["reason"])
                    audit.counts[kind] += each["count"]

    def _read_events(self, audit: Audit) -> None:
        committed = self.committed(self.topic)
        with Registry(self.settings.schema_registry) as schemas:
            decoder = Decoder("CommandAIEvent", schemas)
            for message in read_all(self.settings, self.topic):
                before = (message.offset() or 0) < committed.get(message.partition() or 0, 0)
                audit.records_before_commit += before
                event_id = _event_id(decoder, message.value())
                if event_id in self.published:
                    (audit.settled_before_commit if before else audit.waiting).add(event_id)

    def committed(self, topic: str) -> Mapping[int, int]:
        """Give the group's offsets of a topic, by partition."""
        group = self.names.group(topics.FORWARDER_GROUP)
        consumer = Consumer(consumer_config(self.settings.kafka, "audit", group))
        try:
            there = committed(consumer, topic, partitions_of(consumer, topic), 30.0)
            return {each.partition: each.offset for each in there if each.offset >= 0}
        finally:
            consumer.close()


def _origin(message: Message) -> Origin:
    return Origin(message.topic() or "", message.partition() or 0, message.offset() or 0)


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """Give a record's headers as the product's own readers want them."""
    pairs = message.headers() or []
    assert isinstance(pairs, list)
    return [(name, value if isinstance(value, bytes) else None) for name, value in pairs]


def _event_id(decoder: Decoder, value: bytes | None) -> str:
    try:
        return str(decoder.decode(value)["event_id"])
    except Exception:  # noqa: BLE001 -- tests write every kind of garbage
        return ""


def wait_until(condition: Callable[[], bool], timeout: float = 90.0, what: str = "") -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain {what}"
        time.sleep(0.05)
