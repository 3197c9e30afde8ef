"""Puts the forwarder's loop together once the brokers have been asked for all it starts from.

Apart from `run`, which asks them: importing this takes a while, in which they can answer.
"""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.forwarder.dispatcher import Dispatcher
from consumers.forwarder.intakes import Intakes
from consumers.forwarder.loop import ForwarderLoop
from consumers.forwarder.reporting import Reporter
from consumers.forwarder.sender import Sender
from consumers.forwarder.unknown_schemas import UnknownSchemas
from heapline.heap.track import HeapClient
from heapline.http import HttpxClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from consumers.forwarder.kafka_source import KafkaSource
    from consumers.forwarder.reporting import StatusSink
    from consumers.forwarder.transaction import CheckpointWriter
    from heapline.clock import Clock
    from heapline.kafka.codec import Decoder
    from heapline.kafka.connection_table import Connections
    from heapline.kafka.erasure_log import ErasureLog
    from heapline.kafka.registry import Registry
    from heapline.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open already.

    Attributes:
        source, writer: where records come from, and where checkpoints go.
        registry, decoder: of schemas, and of events by them.
        connections, erasures: read to their ends.
        status: hears how the forwarder is.
    """

    source: KafkaSource
    writer: CheckpointWriter
    registry: Registry
    decoder: Decoder
    connections: Connections
    erasures: ErasureLog
    status: StatusSink


def assembled(
    stack: ExitStack, settings: Settings, opened: Opened, clock: Clock, stopping: Callable[[], bool]
) -> ForwarderLoop:
    """Make the loop.

    Args:
        stack: closes what is opened here.
        settings: everything.
        opened: the rest of it.
        clock: the machine's own, or another.
        stopping: says when to end.
    """
    forwarder, decoder = settings.forwarder, opened.decoder
    threads = forwarder.requests_in_flight
    http = stack.enter_context(closing(HttpxClient.for_heap(settings.heap, threads)))
    dispatcher = Dispatcher(
        settings.limits,
        forwarder,
        decoder,
        opened.connections.table,
        random.Random(),
        opened.erasures.erasures,
    )
    return ForwarderLoop(
        source=opened.source,
        sender=Sender(HeapClient(http, settings.heap, clock), threads, clock),
        writer=opened.writer,
        dispatcher=dispatcher,
        intakes=Intakes(dispatcher, decoder),
        unknown=UnknownSchemas(decoder, opened.registry, forwarder.unknown_schema_wait_seconds),
        connections=opened.connections,
        erasures=opened.erasures,
        settings=forwarder,
        clock=clock,
        stopping=stopping,
        reporter=Reporter(dispatcher, settings, opened.status),
    )
