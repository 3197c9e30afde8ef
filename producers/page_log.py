"""The topic of segment pages as intake writes it: page by page, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from heapline.errors import HeaplineError, KafkaUnavailable, MustStop, NotReady
from heapline.heap.segment_keys import segment_key
from heapline.kafka.clients import producer_config, translated
from heapline.kafka.codec import Encoder
from heapline.kafka.position import Position
from heapline.kafka.registry import Registry
from heapline.kafka.topics import PAGE_BYTES, SEGMENT_PAGES, Names

if TYPE_CHECKING:
    from confluent_kafka import Message

    from heapline.heap.segment_page import SegmentPage
    from heapline.settings import KafkaSettings, SchemaRegistrySettings

DELIVERY_SECONDS: Final = 4.0
"""How long the brokers may take to acknowledge a page: Heap hears within 5 s, and tries again."""
_POLL_SECONDS: Final = 0.1
_NO_TOPIC: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- librdkafka's local errors are named so
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- as above
)


class PageTooLarge(HeaplineError):
    """The topic takes no record of this size."""


class PageLog(Protocol):
    """Where accepted pages are kept, durably and in order of arrival."""

    async def open(self) -> None:
        """Look for topic and schema.

        Raises:
            TryAgainLater, NotReady: they cannot be found now.
        """
        ...

    async def append(self, page: SegmentPage) -> Position:
        """Write a page and give where it stands, once it is durable.

        Raises:
            KafkaUnavailable: not open yet, or it was not acknowledged in time. It may have been
                written all the same: the same page again changes nothing.
            NotReady: the topic is gone.
            PageTooLarge: for good.
        """
        ...

    async def close(self, seconds: float | None = None) -> None:
        """Wait so long for what is on its way, then give it up."""
        ...


class KafkaPageLog:
    """The topic itself; see `PageLog`. A thread of its own hears what became of records."""

    def __init__(self, kafka: KafkaSettings, registry: SchemaRegistrySettings) -> None:
        self._names = Names(kafka.prefix)
        self._topic = self._names.topic(SEGMENT_PAGES)
        self._registry = registry
        self._encoder: Encoder | None = None
        config = producer_config(kafka, "segment-intake") | _OWN
        self._producer = Producer(config)
        self._timeout = kafka.timeout_seconds
        self._closing = threading.Event()
        self._hearing = threading.Thread(target=self._hear, name="segment-intake", daemon=True)
        self._hearing.start()

    async def open(self) -> None:
        """See `PageLog.open`."""
        if self._encoder is None:
            self._encoder = await asyncio.to_thread(self._find)

    def _find(self) -> Encoder:
        try:
            found = self._producer.list_topics(self._topic, timeout=self._timeout)
        except KafkaException as error:
            raise _known(error.args[0], self._topic) from error
        problem = found.topics[self._topic].error
        if problem is not None:
            raise _known(problem, self._topic)
        with Registry(self._registry) as registry:
            return Encoder("SegmentSyncPage", registry.id_for_writing(self._names, SEGMENT_PAGES))

    async def append(self, page: SegmentPage) -> Position:
        """See `PageLog.append`."""
        if self._encoder is None:
            raise KafkaUnavailable("topic and schema are still being looked up; /readyz says why")
        value = self._encoder.encode(page.to_record())
        key = segment_key(page.workspace, page.segment_id)
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Position | KafkaError] = loop.create_future()

        def settle(result: Position | KafkaError) -> None:
            if not written.done():  # else nobody waits any more
                written.set_result(result)

        def settled(error: KafkaError | None, message: Message) -> None:
            place = Position.of(
                message.partition() or 0, message.offset() or 0, page.workspace, page.segment_id
            )
            loop.call_soon_threadsafe(settle, place if error is None else error)

        self._produce(key, value, page.received_at_ms, settled)
        result = await written
        if isinstance(result, Position):
            return result
        raise _known(result, self._topic)

    def _produce(self, key: bytes, value: bytes, time_ms: int, settled: object) -> None:
        try:
            self._producer.produce(
                self._topic,
                value,
                key,
                on_delivery=settled,  # type: ignore[arg-type]  # the stubs know another callback
                timestamp=time_ms,
            )
        except BufferError as error:
            raise KafkaUnavailable(
                "no room for another page: the brokers do not keep up"
            ) from error
        except KafkaException as error:
            raise _known(error.args[0], self._topic) from error

    def _hear(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)

    async def close(self, seconds: float | None = None) -> None:
        """See `PageLog.close`."""
        await asyncio.to_thread(self._close, DELIVERY_SECONDS if seconds is None else seconds)

    def _close(self, seconds: float) -> None:
        self._producer.flush(seconds)
        self._closing.set()
        self._hearing.join()
        self._producer.purge()
        self._producer.flush(1)


_OWN: Final[dict[str, str | int | bool]] = {
    "allow.auto.create.topics": False,
    # The topic bounds the compressed size, librdkafka the plain one.
    "message.max.bytes": 2 * PAGE_BYTES,
    "queue.buffering.max.kbytes": 128 * 1024,
    "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
    "linger.ms": 1,
}


def _known(error: KafkaError, topic: str) -> HeaplineError:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return PageTooLarge(f"the page is larger than {topic} takes: run `heapline topics apply`")
    if error.code() in _NO_TOPIC:
        return NotReady(f"there is no topic {topic}: run `heapline topics apply`")
    known = translated(error)
    if isinstance(known, MustStop):
        # What ends a producer for good must still be told to Heap as "later".
        return KafkaUnavailable(str(known))
    return known if isinstance(known, HeaplineError) else KafkaUnavailable(str(known))
