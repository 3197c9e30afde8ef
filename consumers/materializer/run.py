"""The materializer put together for a real Kafka, registry and state folder."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from consumers.materializer.erasing import Erasing
from consumers.materializer.materializer import Materializer
from consumers.materializer.moves import ConnectionMoves
from consumers.materializer.progress import log_progress
from consumers.materializer.read_apart import ReadApart
from consumers.materializer.readiness import Readiness
from consumers.materializer.source import KafkaSource
from heapline.clock import SystemClock
from heapline.errors import InvalidSetting
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.erasure_log import KafkaErasureLog
from heapline.kafka.registry import Registry
from heapline.kafka.topics import ERASURES, Names
from heapline.many_records import expect_many_records
from heapline.telemetry import metrics
from state.folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.materializer.progress import Report
    from consumers.materializer.totals import Totals
    from heapline.clock import Clock
    from heapline.settings import MaterializerSettings, Settings


def materialize(
    settings: Settings,
    stopping: Callable[[], bool],
    *,
    until_caught_up: bool = False,
    readiness: Readiness | None = None,
    clock: Clock | None = None,
    rebuild_because: str | None = None,
    on_progress: Callable[[Report], None] | None = None,
) -> Totals:
    """Keep this machine's store and index current until asked to end; give what was done.

    Args:
        settings: of all roles.
        stopping: asked whether to end.
        until_caught_up: end once everything that stood in Kafka at the start is visible.
        readiness: told how far everything is visible; ask it from other threads.
        clock: for all of it.
        rebuild_because: build the store anew from the topics first, and why.
        on_progress: told now and then how far catching up has come.

    Raises:
        KafkaUnavailable: no broker answers, and `until_caught_up` is given.
        NotReady: topics are missing.
        StoreLocked: another process materializes into this folder.
        MustStop: the store is damaged or the disk is full; the message tells what to do.
    """
    expect_many_records()
    _serve_metrics(settings.materializer)
    readiness = readiness or Readiness()
    metrics.MATERIALIZER_READY.set_function(lambda: float(readiness.reached))
    with ExitStack() as stack:
        registry = stack.enter_context(Registry(settings.schema_registry))
        names = Names(settings.kafka.prefix)
        clock = clock or SystemClock()
        log = stack.enter_context(closing(KafkaErasureLog(settings, registry, clock)))
        source = stack.enter_context(
            closing(KafkaSource(settings.kafka, names, registry, log.erasures))
        )
        connections = stack.enter_context(
            ConnectionFollower(settings.kafka, names, registry, clock)
        )
        materializer = Materializer(
            source=source,
            folder=StateFolder(settings.state.directory),
            names=names,
            settings=settings.materializer,
            readiness=readiness,
            clock=clock,
            stopping=stopping,
            on_progress=on_progress or log_progress,
            erasing=Erasing(log, names.topic(ERASURES), clock),
            moves=ConnectionMoves(connections),
            apart=lambda: ReadApart(settings, log.erasures),
        )
        return materializer.run(until_caught_up=until_caught_up, rebuild_because=rebuild_because)


def _serve_metrics(settings: MaterializerSettings) -> None:
    if settings.metrics_port is None:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, metrics.REGISTRY)
    except OSError as error:
        raise InvalidSetting(
            f"HEAPLINE_MATERIALIZER__METRICS_PORT={settings.metrics_port}: {error.strerror}"
        ) from error
