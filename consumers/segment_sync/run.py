"""Puts the segment sync together from settings and runs it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from consumers.segment_sync.reread import Rereader
from consumers.segment_sync.segment_table import load_segments
from consumers.segment_sync.session import Progress, Session
from consumers.segment_sync.source import PageSource
from consumers.segment_sync.transaction import Transactions, make_producer
from heapline.clock import Deadline, SystemClock
from heapline.errors import TryAgainLater
from heapline.kafka.clients import admin, lone_consumer
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.erasure_log import KafkaErasureLog
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import partitions_of
from heapline.kafka.registry import Registry
from heapline.kafka.topics import MEMBERSHIPS, SEGMENT_PAGES, SEGMENTS, Names, Topic
from heapline.many_records import expect_many_records
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Producer

    from heapline.clock import Clock
    from heapline.settings import KafkaSettings, Settings

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 10.0
_WELL_SECONDS: Final = 30.0
"""A session that lasted so long was well: the next wait is short again."""
_log = logger(__name__)


def apply_syncs(
    settings: Settings,
    stopping: Callable[[], bool],
    *,
    until_caught_up: bool = False,
    accept_loss: bool = False,
    clock: Clock | None = None,
    make: Callable[[KafkaSettings, str], Producer] = make_producer,
) -> Progress:
    """Turn segment pages into memberships until told to stop; give what was done.

    Args:
        settings: everything.
        stopping: asked often; True ends the run gracefully.
        until_caught_up: end once every page there at the start is applied.
        accept_loss: go on although the log no longer holds what was not read.
        clock: the machine's own unless given.
        make: makes the producer from settings and transactional id.

    Raises:
        KafkaUnavailable, RegistryUnavailable: `until_caught_up`, and nobody answers.
        NotReady: topics or schemas are missing.
        Fenced: another process runs under the same instance id.
        RecordsLost: see `accept_loss`.
        MustStop: anything else that forbids going on.
    """
    expect_many_records()
    clock = clock or SystemClock()
    progress = Progress()
    _membership_partitions(settings)  # missing topics are told at once
    wait = _FIRST_WAIT_SECONDS
    while not stopping():
        started = clock.monotonic()
        try:
            _one_session(
                settings,
                progress,
                clock,
                stopping,
                make,
                until_caught_up=until_caught_up,
                accept_loss=accept_loss,
            )
        except TryAgainLater as error:
            if clock.monotonic() - started > _WELL_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            if until_caught_up and wait > _LONGEST_WAIT_SECONDS:
                raise
            _log.warning("starting anew", error=str(error)[:300], wait_seconds=wait)
            _sleep(min(wait, _LONGEST_WAIT_SECONDS), stopping, clock)
            wait *= 2
        else:
            break
    return progress


def _one_session(
    settings: Settings,
    progress: Progress,
    clock: Clock,
    stopping: Callable[[], bool],
    make: Callable[[KafkaSettings, str], Producer],
    *,
    until_caught_up: bool,
    accept_loss: bool,
) -> None:
    kafka, names = settings.kafka, Names(settings.kafka.prefix)
    logs = Logs(admin(kafka), kafka.timeout_seconds)
    with ExitStack() as stack:
        registry = stack.enter_context(Registry(settings.schema_registry))
        rows, pages = Decoder("HeapSegment", registry), Decoder("SegmentSyncPage", registry)
        transactions = Transactions(
            make(kafka, names.transactional_id("segment-sync", settings.instance_id)),
            names,
            _encoder(registry, names, MEMBERSHIPS),
            _encoder(registry, names, SEGMENTS),
            _membership_partitions(settings),
            clock,
        )
        stack.callback(transactions.close)
        transactions.start(kafka.timeout_seconds)
        source = PageSource(
            kafka,
            names,
            logs,
            session_timeout_seconds=settings.segment_sync.session_timeout_seconds,
            accept_loss=accept_loss,
        )
        stack.callback(source.close)
        session = Session(
            source,
            transactions,
            stack.enter_context(closing(Rereader(kafka, names, logs, pages, clock))),
            pages,
            lambda: load_segments(kafka, names, rows, clock),
            settings.segment_sync,
            progress,
            stopping,
            stack.enter_context(closing(KafkaErasureLog(settings, registry, clock))),
        )
        session.run(until_caught_up=until_caught_up)


def _encoder(registry: Registry, names: Names, topic: Topic) -> Encoder:
    return Encoder(topic.schema or "", registry.id_for_writing(names, topic))


def _membership_partitions(settings: Settings) -> int:
    names = Names(settings.kafka.prefix)
    consumer = lone_consumer(settings.kafka, "segment-sync-topics")
    try:
        for topic in (SEGMENT_PAGES, SEGMENTS, MEMBERSHIPS):
            found = partitions_of(consumer, names.topic(topic), settings.kafka.timeout_seconds)
        return len(found)
    finally:
        consumer.close()


def _sleep(seconds: float, stopping: Callable[[], bool], clock: Clock) -> None:
    deadline = Deadline(clock, seconds)
    while not stopping() and not deadline.passed():
        clock.sleep(min(0.1, deadline.left()))
