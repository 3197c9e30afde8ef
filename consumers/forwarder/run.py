"""Starts a forwarder: asks the brokers for all it needs to know first, and runs it."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from threading import Event
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaException
from prometheus_client import start_http_server

from consumers.forwarder.beside import Beside
from consumers.forwarder.kafka_source import KafkaSource
from consumers.forwarder.reporting import StatusTopic
from consumers.forwarder.totals import Totals
from consumers.forwarder.transaction import CheckpointWriter
from heapline.clock import Clock, SystemClock
from heapline.errors import HeaplineError, InvalidSetting, TryAgainLater
from heapline.kafka import topics
from heapline.kafka.clients import transactional_producer
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.erasure_log import KafkaErasureLog
from heapline.kafka.registry import Registry
from heapline.many_records import expect_many_records
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Producer

    from heapline.settings import ForwarderSettings, KafkaSettings, Settings

_RETRY_SECONDS: Final = 1.0
_LONGEST_KEPT_BYTES: Final = 512 * 1024
"""See `expect_many_records`: librdkafka unpacks record batches of up to a mebibyte each."""
_T = TypeVar("_T")
_log = logger(__name__)


def forward(
    settings: Settings,
    stopping: Callable[[], bool],
    *,
    until_caught_up: bool = False,
    accept_loss: bool = False,
    clock: Clock | None = None,
    make_producer: Callable[[KafkaSettings, str], Producer] | None = None,
) -> Totals:
    """Forward events to Heap until told to stop.

    Args:
        settings: everything.
        stopping: asked often; True ends the run gracefully.
        until_caught_up: end once every event there at the start is delivered, skipped,
            dead-lettered or deferred.
        accept_loss: go on although the log no longer holds what was not read.
        clock: the machine's own unless given.
        make_producer: makes the checkpoints' producer from settings and transactional id.

    Raises:
        KafkaUnavailable: no broker answers at the start.
        NotReady: topics or schemas are missing.
        RecordsLost: see `accept_loss`.
        MustStop: anything else that forbids going on.
    """
    expect_many_records(_LONGEST_KEPT_BYTES)
    clock = clock or SystemClock()
    names = topics.Names(settings.kafka.prefix)
    source = KafkaSource(
        settings.kafka,
        names,
        clock,
        session_timeout_seconds=settings.forwarder.session_timeout_seconds,
        poll_timeout_seconds=settings.forwarder.poll_timeout_seconds,
        accept_loss=accept_loss,
    )
    checking = Beside(source.check_topics, "topics")
    with ExitStack() as stack:
        registry = stack.enter_context(Registry(settings.schema_registry))  # imports meanwhile
        checking.result()
        _serve_metrics(settings.forwarder)
        over = Event()

        def ending() -> bool:
            return over.is_set() or stopping()

        # What has to be read first is read all at once: each of these waits for brokers on its own.
        connections = stack.enter_context(
            closing(ConnectionFollower(settings.kafka, names, registry, clock))
        )
        erasures = stack.enter_context(closing(KafkaErasureLog(settings, registry, clock)))
        catching_up = Beside(lambda: _patiently(erasures.catch_up, ending, clock), "erasures")
        stack.callback(catching_up.wait)
        stack.callback(over.set)
        status = Beside(lambda: StatusTopic(settings, names), "status")
        encoder = _patiently(lambda: _counts_encoder(registry, names), stopping, clock)
        if encoder is None:
            return Totals()
        transactional_id = names.transactional_id("forwarder", settings.instance_id)
        make = make_producer or _producer
        writer = CheckpointWriter(
            lambda: make(settings.kafka, transactional_id), names, encoder, source, clock
        )
        fencing = Beside(
            lambda: _patiently(lambda: writer.start(settings.kafka.timeout_seconds), ending, clock),
            "fencing",
        )
        from consumers.forwarder.assembly import Opened, assembled  # noqa: PLC0415 -- see there

        decoder = Decoder("CommandAIEvent", registry)
        _learn_contract(decoder, registry, names)
        there = _wait_for_connections(connections, stopping)
        catching_up.result()
        fencing.result()
        if not there:
            return Totals()
        opened = Opened(source, writer, registry, decoder, connections, erasures, status.result())
        loop = assembled(stack, settings, opened, clock, stopping)
        return loop.run(until_caught_up=until_caught_up)


def _counts_encoder(registry: Registry, names: topics.Names) -> Encoder:
    return Encoder("OutcomeCounts", registry.id_for_writing(names, topics.OUTCOME_COUNTS))


def _learn_contract(decoder: Decoder, registry: Registry, names: topics.Names) -> None:
    """Learn how events are written as a rule, or a whole first batch would have to wait for it."""
    try:
        decoder.learn(registry.id_for_writing(names, topics.EVENTS))
    except HeaplineError as error:
        _log.info("schemas are learned as they come", reason=str(error))


def _serve_metrics(settings: ForwarderSettings) -> None:
    if settings.metrics_port is None:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, metrics.REGISTRY)
    except OSError as error:
        raise InvalidSetting(
            f"HEAPLINE_FORWARDER__METRICS_PORT={settings.metrics_port}: {error.strerror}"
        ) from error


def _producer(settings: KafkaSettings, transactional_id: str) -> Producer:
    # Topics bound a record's compressed size, librdkafka its plain one: whatever could be read must
    # be writable to the DLQ, so the bound is librdkafka's highest.
    producer = transactional_producer(
        settings, "forwarder", transactional_id, **{"message.max.bytes": 1_000_000_000}
    )
    # Asked for its coordinator before it has a connection, librdkafka asks again only half a second
    # later; an answer to anything else means that it has one. The first answer may end it: once
    # brokers are known by name, the connection to the bootstrap server is closed.
    counts = topics.Names(settings.prefix).topic(topics.OUTCOME_COUNTS)
    with suppress(KafkaException):  # whoever initialises the producer is told of it
        for _ in range(2):
            producer.list_topics(counts, timeout=settings.timeout_seconds)
    return producer


def _patiently(attempt: Callable[[], _T], stopping: Callable[[], bool], clock: Clock) -> _T | None:
    while not stopping():
        try:
            return attempt()
        except TryAgainLater as error:
            _log.warning("waiting", error=str(error))
            clock.sleep(_RETRY_SECONDS)
    return None


def _wait_for_connections(connections: ConnectionFollower, stopping: Callable[[], bool]) -> bool:
    while not connections.ready and not stopping():
        connections.poll(0.1)
    return connections.ready
