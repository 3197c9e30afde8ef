"""The demo itself: everything a newcomer would do by hand, one step after another."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from devstack.demo.books import accounts
from devstack.demo.cast import APP_IDS_HEAP_KNOWS, CAST, CONNECTED
from devstack.demo.forwarding import forward_all
from devstack.demo.happenings import Kind, happenings
from devstack.demo.payloads import POISON_PROPERTY, UNDECODABLE, payload_of
from devstack.demo.place import heap_limits
from devstack.demo.reading import read_books
from devstack.demo.verdict import Verdict, judged
from devstack.heap_simulator import SimulatorClient
from devstack.heap_simulator.faults import Poison
from heapline.clock import Clock, SystemClock
from heapline.errors import KafkaUnavailable
from heapline.events import EventPublisher
from heapline.kafka import topics
from heapline.kafka.clients import producer_config
from heapline.kafka.registry import Registry
from operations.schemas import register
from operations.topics import TopicAdministrator
from producers.connections import ConnectionRegistry

if TYPE_CHECKING:
    from devstack.demo.happenings import Happening
    from devstack.demo.place import Place
    from devstack.demo.steps import Steps
    from heapline.errors import HeaplineError
    from heapline.settings import Settings
    from heapline.words import EventId

DEFAULT_EVENTS: Final = 20_000
FEWEST_EVENTS: Final = 100
"""With fewer, some of what the demo shows might not happen."""
DEFAULT_SEED: Final = 1
_TELL_EVERY_EVENTS: Final = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What to publish: `events` records in all, the same for the same `seed`."""

    events: int = DEFAULT_EVENTS
    seed: int = DEFAULT_SEED


@dataclass(slots=True)
class _Acknowledged:
    """What the brokers confirmed, by workspace, and what they did not."""

    by_workspace: Counter[str] = field(default_factory=Counter)
    errors: list[HeaplineError] = field(default_factory=list)


def run_demo(place: Place, plan: Plan, steps: Steps, clock: Clock | None = None) -> Verdict:
    """Set up, connect, publish, forward, and check the books.

    Args:
        place: servers on which no demo with the same prefix ran before. The simulator's limits, app
            ids and faults are set and stay so.
        plan: what to publish.
        steps: hears of each step.
        clock: for everything.

    Raises:
        HeaplineError: a step failed.
    """
    clock = clock or SystemClock()
    settings = place.settings()
    heap = SimulatorClient(place.heap_url)
    steps.begin("Create topics and register schemas")
    _set_up(settings)
    steps.begin(f"Connect {len(CONNECTED)} workspaces")
    _connect(settings, steps)
    _prepare_heap(heap)
    steps.begin(f"Publish {plan.events:,} events")
    acknowledged = _publish(settings, plan, steps, clock)
    steps.begin("Forward them to Heap")
    totals = forward_all(settings, clock, lambda: _tell_how_far(heap, steps))
    steps.begin("Read the topics and check that nothing is lost")
    rows = accounts(read_books(settings), [member.workspace for member in CAST])
    return judged(rows, acknowledged.by_workspace, heap.ledger(), totals.seconds)


def _set_up(settings: Settings) -> None:
    TopicAdministrator(settings.kafka).apply()
    with Registry(settings.schema_registry) as schemas:
        register(schemas, topics.Names(settings.kafka.prefix))


def _connect(settings: Settings, steps: Steps) -> None:
    with Registry(settings.schema_registry) as schemas:
        connections = ConnectionRegistry(settings.kafka, schemas)
        for member in CONNECTED:
            steps.at(member.workspace)
            if member.connection is not None:
                connections.set(member.workspace, member.connection)


def _prepare_heap(heap: SimulatorClient) -> None:
    heap.change_limits(**heap_limits())
    heap.only_apps(*APP_IDS_HEAP_KNOWS)
    heap.faults(Poison(property_name=POISON_PROPERTY))


def _tell_how_far(heap: SimulatorClient, steps: Steps) -> None:
    with suppress(OSError, HTTPException):  # a simulator too busy to tell spoils nothing
        steps.at(f"{heap.ledger().accepted:,} in Heap")


def _publish(settings: Settings, plan: Plan, steps: Steps, clock: Clock) -> _Acknowledged:
    """Publish through the library a service would embed; see the brokers confirm everything."""
    done = _Acknowledged()
    with EventPublisher(
        settings.kafka.bootstrap_servers,
        settings.schema_registry.url,
        prefix=settings.kafka.prefix,
    ) as publisher:
        for each in happenings(plan.events, plan.seed, clock.epoch_ms()):
            if each.number % _TELL_EVERY_EVENTS == 0:
                steps.at(f"{each.number:,}")
            if each.kind is Kind.UNDECODABLE:
                _publish_undecodable(settings, each, done)
            else:
                _publish_one(publisher, each, done)
    if done.errors:
        raise done.errors[0]
    return done


def _publish_one(publisher: EventPublisher, each: Happening, done: _Acknowledged) -> None:
    workspace = each.member.workspace

    def report(_: EventId, error: HeaplineError | None) -> None:
        if error is None:
            done.by_workspace[workspace] += 1
        else:
            done.errors.append(error)

    publisher.publish(payload_of(each), workspace, on_delivery=report)


def _publish_undecodable(settings: Settings, each: Happening, done: _Acknowledged) -> None:
    """Write what no publisher of ours would: bytes that are no Avro record."""
    producer = Producer(producer_config(settings.kafka, "demo"))
    topic = topics.Names(settings.kafka.prefix).topic(topics.EVENTS)
    producer.produce(topic, key=each.member.workspace.encode(), value=UNDECODABLE)
    if producer.flush(settings.kafka.timeout_seconds):
        raise KafkaUnavailable("the broker did not confirm the undecodable record in time")
    done.by_workspace[each.member.workspace] += 1
