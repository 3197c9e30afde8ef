"""The publisher for asyncio services: as `EventPublisher`, and never in the loop's way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Self

from heapline.clock import Deadline
from heapline.errors import HeaplineError, InvalidEvent, KafkaUnavailable
from heapline.events.delivery import NotAcknowledged, Published, Tally
from heapline.events.outbox import DEFAULT_PATIENCE, Outbox, Patience
from heapline.events.publisher import connect
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping
    from types import TracebackType

    from heapline.events.model import Event
    from heapline.events.record_producer import Done
    from heapline.words import EventId

MOST_WAITING: Final = 10_000
"""Unacknowledged events beyond which publishing waits: all their reports may come at once, and the
loop is busy for about a microsecond with each."""
_POLL_SECONDS: Final = 0.002
_BREATH_EVENTS: Final = 100
"""Events of one call after which the loop gets a turn."""


class AsyncEventPublisher:
    """Publishes Command AI events to Kafka from one event loop.

    There is no thread: while events are waiting for acknowledgement, a task of the loop asks for
    delivery reports every two milliseconds; what asks the network at the start runs in a thread of
    its own. Cancelling a `publish` gives up waiting, not publishing::

        async with AsyncEventPublisher("kafka:9092", "http://registry:8081") as publisher:
            await publisher.publish({"name": "nudge_shown", "user_id": "u1", "data": {}}, "acme")

    Args and errors: as `EventPublisher`.
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
        self._opening = asyncio.Lock()
        self._pump: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Look for topic and schema now, not at the first event.

        Raises:
            NotReady: one is missing; names the command that makes it.
            KafkaUnavailable, RegistryUnavailable: no answer in time; call again later.
        """
        if not self._outbox.is_ready:
            async with self._opening:
                await asyncio.to_thread(self._outbox.make_ready)

    async def publish(self, payload: object, workspace: str | None = None) -> EventId:
        """Publish one event in any of the three source shapes; give its id once acknowledged.

        Raises:
            InvalidEvent: it is no event, or too large; nothing was published.
            KafkaUnavailable: the brokers did not acknowledge it in time.
            NotReady, RegistryUnavailable: as `open`, at the first event.
        """
        default = None if workspace is None else Workspace(workspace)
        return await self.publish_event(self._outbox.event_of(payload, default))

    async def publish_event(self, event: Event) -> EventId:
        """Publish an event made by the caller; give its id once acknowledged.

        Raises as `publish`.
        """
        await self.open()
        acknowledged: asyncio.Future[HeaplineError | None] = (
            asyncio.get_running_loop().create_future()
        )

        def done(error: HeaplineError | None) -> None:
            if not acknowledged.done():  # else the caller no longer waits
                acknowledged.set_result(error)

        await self._send(self._outbox.record_of(event), done)
        error = await acknowledged
        if error is not None:
            raise error
        return event.event_id

    async def publish_many(
        self,
        payloads: Iterable[object],
        workspace: str | None = None,
        *,
        seconds: float | None = None,
    ) -> list[Published]:
        """Publish events and wait for their acknowledgement; one bad event spoils no other.

        Args and errors: as `EventPublisher.publish_many`.
        """
        await self.open()
        tally = Tally()
        default = None if workspace is None else Workspace(workspace)
        for number, payload in enumerate(payloads, start=1):
            slot = tally.slot()
            try:
                event = self._outbox.event_of(payload, default)
                slot.event_id = event.event_id
                await self._send(self._outbox.record_of(event), slot.settle)
            except (InvalidEvent, KafkaUnavailable) as error:
                slot.settle(error)
            if number % _BREATH_EVENTS == 0:
                await asyncio.sleep(0)
        settled = asyncio.Event()
        tally.when_settled(settled.set)
        await self._wait(settled.wait(), seconds)
        return tally.published()

    @property
    def waiting(self) -> int:
        """Events queued and neither acknowledged nor given up."""
        return self._outbox.waiting

    async def flush(self, seconds: float | None = None) -> None:
        """Wait until the brokers hold every event published so far; as `EventPublisher.flush`."""
        if self._pump is not None:
            await self._wait(asyncio.wait({self._pump}), seconds)
        complaint = self._outbox.settled()
        if complaint is not None:
            raise complaint

    async def close(self, seconds: float | None = None) -> None:
        """Flush, then give up what is left; as `EventPublisher.close`."""
        try:
            await self.flush(seconds)
        finally:
            self._outbox.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except NotAcknowledged:
            # What ended the block says more; its traceback must not be hidden by this.
            if error is None:
                raise

    async def _send(self, record: tuple[bytes, bytes], done: Done) -> None:
        """Queue a record, waiting for room without holding up the loop."""
        outbox = self._outbox
        deadline = Deadline(outbox.clock, outbox.patience.queue_seconds)
        while outbox.waiting >= MOST_WAITING or not outbox.send(record, done):
            if deadline.passed():
                raise KafkaUnavailable(
                    f"no room in the queue for {outbox.patience.queue_seconds} s: the brokers do "
                    "not keep up or cannot be reached"
                )
            await asyncio.sleep(_POLL_SECONDS)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        """Call due delivery reports for as long as any is to come."""
        while self._outbox.waiting:
            self._outbox.poll(0)
            await asyncio.sleep(_POLL_SECONDS)

    async def _wait(self, hope: Coroutine[Any, Any, object], seconds: float | None) -> None:
        """Wait for what is hoped for, or until patience ends."""
        patience = self._outbox.patience.flush_seconds if seconds is None else seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hope, patience)
