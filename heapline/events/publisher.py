"""The publisher a service embeds: payloads in, acknowledged records out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from heapline.clock import Deadline
from heapline.errors import InvalidEvent, KafkaUnavailable
from heapline.events.delivery import DeliveryReport, NotAcknowledged, Published, Tally
from heapline.events.event_schema import Password, RegistryAccess, RegistryEventSchema
from heapline.events.outbox import DEFAULT_PATIENCE, Outbox, Patience
from heapline.events.record_producer import KafkaAccess, KafkaRecordProducer
from heapline.kafka.topics import EVENTS, Names
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from heapline.events.model import Event
    from heapline.words import EventId

_SLICE_SECONDS: Final = 0.1
"""Longest single wait, so that Ctrl-C is heard."""


def connect(
    bootstrap_servers: str,
    registry_url: str,
    *,
    prefix: str = "",
    librdkafka: Mapping[str, Any] | None = None,
    registry_username: str | None = None,
    registry_password: str | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Outbox:
    """Make an outbox over a real Kafka and registry; neither is asked anything yet.

    Raises:
        InvalidSetting: `librdkafka` would break what heapline relies on.
    """
    names = Names(prefix)
    password = None if registry_password is None else Password(registry_password)
    access = KafkaAccess(bootstrap_servers, librdkafka or {})
    config = access.config(patience.delivery_seconds)
    registry = RegistryAccess(registry_url, registry_username, password)
    return Outbox(
        KafkaRecordProducer(config, names.topic(EVENTS)),
        RegistryEventSchema(registry, names),
        patience=patience,
    )


class EventPublisher:
    """Publishes Command AI events to Kafka; safe to share by threads.

    Records are queued, batched and acknowledged by all in-sync replicas; the producer is
    idempotent, so its own retries double nothing. Delivery reports are called from within
    `publish`, `publish_many`, `flush` and `poll`. Use it as a context manager, which waits at the
    end for all that was published::

        with EventPublisher("kafka:9092", "http://registry:8081") as publisher:
            publisher.publish({"name": "nudge_shown", "user_id": "u1", "data": {}}, "acme")

    Args:
        bootstrap_servers: comma-separated host:port of some brokers.
        registry_url: base URL of a schema registry with Confluent's API.
        prefix: the installation's prefix of topics and subjects.
        librdkafka: further librdkafka settings, such as `security.protocol`.
        registry_username, registry_password: for basic authentication.
        patience: how long to wait for what.
        outbox: stands in for all of the above, in tests.

    Raises:
        InvalidSetting: `librdkafka` would break what heapline relies on.
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        registry_url: str = "http://127.0.0.1:8081",
        *,
        prefix: str = "",
        librdkafka: Mapping[str, Any] | None = None,
        registry_username: str | None = None,
        registry_password: str | None = None,
        patience: Patience = DEFAULT_PATIENCE,
        outbox: Outbox | None = None,
    ) -> None:
        self._outbox = outbox or connect(
            bootstrap_servers,
            registry_url,
            prefix=prefix,
            librdkafka=librdkafka,
            registry_username=registry_username,
            registry_password=registry_password,
            patience=patience,
        )

    def open(self) -> None:
        """Look for topic and schema now, not at the first event.

        Raises:
            NotReady: one is missing; names the command that makes it.
            KafkaUnavailable, RegistryUnavailable: no answer in time; call again later.
        """
        self._outbox.make_ready()

    def publish(
        self,
        payload: object,
        workspace: str | None = None,
        *,
        on_delivery: DeliveryReport | None = None,
    ) -> EventId:
        """Queue one event in any of the three source shapes; give its id.

        Args:
            payload: a mapping; see `heapline.events.shapes`.
            workspace: used where the payload names none.
            on_delivery: called once, with the id and what went wrong, or None.

        Raises:
            InvalidEvent: it is no event, or too large; nothing was queued.
            KafkaUnavailable: no room in the queue for `Patience.queue_seconds`; nothing was queued.
            NotReady, RegistryUnavailable: as `open`, at the first event.
        """
        event = self._outbox.event_of(payload, _workspace(workspace))
        return self.publish_event(event, on_delivery=on_delivery)

    def publish_event(self, event: Event, *, on_delivery: DeliveryReport | None = None) -> EventId:
        """Queue an event made by the caller; give its id. Raises as `publish`."""
        outbox, event_id = self._outbox, event.event_id
        record = outbox.record_of(event)
        done = None if on_delivery is None else (lambda error: on_delivery(event_id, error))
        if not outbox.send(record, done):
            deadline = Deadline(outbox.clock, outbox.patience.queue_seconds)
            while not outbox.send(record, done):
                if deadline.passed():
                    raise KafkaUnavailable(
                        f"no room in the queue for {outbox.patience.queue_seconds} s: the brokers "
                        "do not keep up or cannot be reached"
                    )
                outbox.poll(min(_SLICE_SECONDS, deadline.left()))
        outbox.poll(0)
        return event_id

    def publish_many(
        self,
        payloads: Iterable[object],
        workspace: str | None = None,
        *,
        seconds: float | None = None,
    ) -> list[Published]:
        """Publish events and wait for their acknowledgement; one bad event spoils no other.

        Args:
            payloads: as for `publish`; one result each, in this order.
            workspace: used where a payload names none.
            seconds: longest wait for acknowledgements, else `Patience.flush_seconds`.

        Raises:
            NotReady, RegistryUnavailable, KafkaUnavailable: as `open`, before anything is queued.
        """
        self.open()
        tally = Tally()
        for payload in payloads:
            slot = tally.slot()
            try:
                event = self._outbox.event_of(payload, _workspace(workspace))
                slot.event_id = event.event_id
                self.publish_event(event, on_delivery=slot.report)
            except (InvalidEvent, KafkaUnavailable) as error:
                slot.settle(error)
        self._wait(lambda: tally.open == 0, seconds)
        return tally.published()

    def poll(self, seconds: float = 0.0) -> None:
        """Call due delivery reports; wait so long where none is due."""
        self._outbox.poll(seconds)

    @property
    def waiting(self) -> int:
        """Events queued and neither acknowledged nor given up."""
        return self._outbox.waiting

    def flush(self, seconds: float | None = None) -> None:
        """Wait until the brokers hold every event published so far.

        Args:
            seconds: longest wait, else `Patience.flush_seconds`.

        Raises:
            NotAcknowledged: some are still waiting, or were given up since the last flush; says
                how many. Those waiting stay queued.
        """
        self._wait(lambda: self._outbox.waiting == 0, seconds)
        complaint = self._outbox.settled()
        if complaint is not None:
            raise complaint

    def close(self, seconds: float | None = None) -> None:
        """Flush, then give up what is left. Closing twice is harmless.

        Raises:
            NotAcknowledged: as `flush`; the publisher is closed all the same.
        """
        try:
            self.flush(seconds)
        finally:
            self._outbox.close()

    def discard(self) -> None:
        """Close without waiting; what the brokers have not acknowledged is given up."""
        self._outbox.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except NotAcknowledged:
            # What ended the block says more; its traceback must not be hidden by this.
            if error is None:
                raise

    def _wait(self, is_over: Callable[[], bool], seconds: float | None) -> None:
        patience = self._outbox.patience.flush_seconds if seconds is None else seconds
        deadline = Deadline(self._outbox.clock, patience)
        self._outbox.poll(0)
        while not is_over() and not deadline.passed():
            self._outbox.poll(min(_SLICE_SECONDS, deadline.left()))


def _workspace(name: str | None) -> Workspace | None:
    return None if name is None else Workspace(name)
