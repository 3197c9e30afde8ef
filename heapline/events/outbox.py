"""What every publisher does: payload to record, record to producer, and count what is out."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from heapline.clock import SystemClock
from heapline.errors import CallerMistake, HeaplineError
from heapline.events.delivery import NotAcknowledged
from heapline.events.refusals import Refusal, refuse
from heapline.events.shapes import to_event
from heapline.kafka.codec import Encoder
from heapline.kafka.topics import EVENT_BYTES, EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from heapline.clock import Clock
    from heapline.events.model import Event
    from heapline.events.record_producer import Done, RecordProducer
    from heapline.words import Workspace

RECORD_BYTES: Final = EVENT_BYTES - 4096
"""Largest key and value together: Kafka's own framing of a batch needs room beside them."""


class EventSchema(Protocol):
    """Knows under which id the event contract is registered; the registry, or a fake."""

    def event_schema_id(self) -> int:
        """Give the id.

        Raises:
            NotReady: the contract is not registered; names the command that does it.
            RegistryUnavailable: the registry did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a publisher waits, in seconds.

    Attributes:
        check_seconds: for the brokers to answer whether the topic is there.
        queue_seconds: for room in a full queue, before publishing fails.
        flush_seconds: for acknowledgements, where a call names no time of its own.
        delivery_seconds: for one record's acknowledgement, over all retries.
    """

    check_seconds: float = 10.0
    queue_seconds: float = 30.0
    flush_seconds: float = 30.0
    delivery_seconds: float = 120.0


DEFAULT_PATIENCE: Final = Patience()


class Outbox:
    """Accepts events and counts those the brokers have not acknowledged; safe to share."""

    def __init__(
        self,
        producer: RecordProducer,
        schema: EventSchema,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        clock: Clock | None = None,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.patience = patience
        self.clock = clock or SystemClock()
        self.waiting = 0
        self._failed = 0
        self._cause: HeaplineError | None = None
        self._producer = producer
        self._schema = schema
        self._randomness = randomness
        self._encoder: Encoder | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether topic and schema were seen."""
        return self._encoder is not None

    def make_ready(self) -> None:
        """Look for topic and schema, once; asks the network, so it may take seconds.

        Raises:
            NotReady, KafkaUnavailable, RegistryUnavailable: as the two say; call again later.
        """
        if self._closed:
            raise CallerMistake("this publisher is closed: make a new one")
        if self._encoder is None:
            self._producer.check_topic(self.patience.check_seconds)
            self._encoder = Encoder(EVENTS.schema or "", self._schema.event_schema_id())

    def event_of(self, payload: object, workspace: Workspace | None) -> Event:
        """Make an event; raises `InvalidEvent`."""
        now_ms = self.clock.epoch_ms()
        return to_event(payload, now_ms=now_ms, workspace=workspace, randomness=self._randomness)

    def record_of(self, event: Event) -> tuple[bytes, bytes]:
        """Give key and value; raises `InvalidEvent` for what is malformed or too large."""
        self.make_ready()
        assert self._encoder is not None  # noqa: S101 -- make_ready sets it or raises
        if not (event.event_id and event.workspace and event.name):
            raise refuse(Refusal.MALFORMED, "event_id, workspace and name must not be empty")
        try:
            key, value = event.workspace.encode(), self._encoder.encode(event.to_record())
        except (ValueError, AttributeError) as error:
            raise refuse(Refusal.MALFORMED, f"the event does not fit: {error}") from error
        size = len(key) + len(value)
        if size > RECORD_BYTES:
            raise refuse(
                Refusal.TOO_LARGE,
                f"{size} bytes, and a record takes {RECORD_BYTES}: leave out large properties",
            )
        return key, value

    def send(self, record: tuple[bytes, bytes], done: Done | None = None) -> bool:
        """Queue a record and count it; False while the queue is full."""
        with self._lock:
            self.waiting += 1
        queued = False
        try:
            queued = self._producer.send(*record, lambda error: self._settle(error, done))
        finally:
            if not queued:
                with self._lock:
                    self.waiting -= 1
        return queued

    def poll(self, seconds: float) -> None:
        """Hear what became of queued records."""
        self._producer.poll(seconds)

    def settled(self) -> NotAcknowledged | None:
        """Give what to complain about, and forget the events given up so far."""
        with self._lock:
            waiting, failed, cause = self.waiting, self._failed, self._cause
            self._failed, self._cause = 0, None
        return NotAcknowledged(waiting, failed, cause) if waiting or failed else None

    def close(self) -> None:
        """Give up what is still waiting."""
        if not self._closed:
            self._closed, self._encoder = True, None
            self._producer.close()

    def _settle(self, error: HeaplineError | None, done: Done | None) -> None:
        with self._lock:
            self.waiting -= 1
            if error is not None:
                self._failed += 1
                self._cause = self._cause or error
        if done is not None:
            done(error)
