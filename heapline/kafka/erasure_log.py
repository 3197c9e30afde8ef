"""The topic of erasures, as every role reads it: all of it at the start, then what comes.

No thread: whoever asks reads. Where the topic does not exist nothing was ever erased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from heapline.clock import Deadline, SystemClock
from heapline.erasures import EraseKey, Erasure, Erasures
from heapline.errors import KafkaUnavailable, NotReady, RegistryUnavailable, Undeliverable
from heapline.kafka.arrivals import arrivals
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.read_to_end import bounds, partitions_of
from heapline.kafka.topics import ERASURES, Names
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from heapline.clock import Clock
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import Settings
    from heapline.words import Workspace

PARTITION: Final = 0
_BATCH: Final = 500
_WAIT_SECONDS: Final = 0.1
_CATCH_UP_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 30.0
_FETCH_WAIT_MS: Final = 100
_NOTHING: Final[frozenset[Workspace]] = frozenset()
_log = logger(__name__)


class ErasureLog(Protocol):
    """The erasures as roles use them."""

    @property
    def erasures(self) -> Erasures:
        """All that were read; changes only during `poll` and `catch_up`."""
        ...

    def poll(self) -> frozenset[Workspace]:
        """Take in what has come, without waiting; give the workspaces concerned.

        Raises:
            AnotherErasureKey: this process must not go on.
        """
        ...

    def catch_up(self) -> frozenset[Workspace]:
        """Read to the end there is now.

        Raises:
            KafkaUnavailable, RegistryUnavailable: it could not be read.
            AnotherErasureKey: this process must not go on.
        """
        ...

    def close(self) -> None:
        """Let go of the brokers."""
        ...


class NoErasures:
    """`ErasureLog` of a world in which nobody was erased."""

    def __init__(self) -> None:
        self.erasures = Erasures(EraseKey(b""))

    def poll(self) -> frozenset[Workspace]:
        """See `ErasureLog.poll`."""
        return _NOTHING

    def catch_up(self) -> frozenset[Workspace]:
        """See `ErasureLog.catch_up`."""
        return _NOTHING

    def close(self) -> None:
        """See `ErasureLog.close`."""


class KafkaErasureLog:
    """`ErasureLog` on the real topic; for one thread.

    Attributes:
        position: the offset to be read next.
        found: every erasure read, with its offset, in order.
    """

    def __init__(
        self, settings: Settings, schemas: SchemaSource, clock: Clock | None = None
    ) -> None:
        self.erasures = Erasures(EraseKey.of(settings))
        self.position = 0
        self.found: list[tuple[int, Erasure]] = []
        self._kafka = settings.kafka
        self._topic = Names(settings.kafka.prefix).topic(ERASURES)
        self._decoder = Decoder("HeapErasure", schemas)
        self._clock = clock or SystemClock()
        self._consumer: Consumer | None = None
        self._unread: list[Message] = []
        self._look_at = -1.0

    def poll(self) -> frozenset[Workspace]:
        """See `ErasureLog.poll`; costs microseconds where there is nothing."""
        try:
            consumer = self._opened()
            return _NOTHING if consumer is None else self._take(consumer.consume(_BATCH, 0))
        except (KafkaException, KafkaUnavailable, RegistryUnavailable) as error:
            _log.warning("erasures_not_current", error=str(error))
            return _NOTHING

    def catch_up(self) -> frozenset[Workspace]:
        """See `ErasureLog.catch_up`."""
        self._look_at = -1.0
        consumer = self._opened()
        if consumer is None:
            return _NOTHING
        _, end = bounds(consumer, self._topic, PARTITION, self._kafka.timeout_seconds)
        deadline = Deadline(self._clock, _CATCH_UP_SECONDS)
        changed: set[Workspace] = set()
        while self.position < end:
            changed |= self._take(arrivals(consumer, _BATCH, _WAIT_SECONDS))
            if deadline.passed():
                raise KafkaUnavailable(f"{self._topic} could not be read to its end")
        return frozenset(changed)

    def close(self) -> None:
        """See `ErasureLog.close`."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _opened(self) -> Consumer | None:
        """Give the consumer; None while there is no topic, which is looked for now and then."""
        if self._consumer is None and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_AGAIN_SECONDS
            consumer = lone_consumer(
                self._kafka, "erasures", **{"fetch.wait.max.ms": _FETCH_WAIT_MS}
            )
            try:
                partitions_of(consumer, self._topic, self._kafka.timeout_seconds)
            except NotReady:
                consumer.close()
                return None
            except BaseException:
                consumer.close()
                raise
            consumer.assign([TopicPartition(self._topic, PARTITION, self.position)])
            self._consumer = consumer
        return self._consumer

    def _take(self, messages: list[Message]) -> frozenset[Workspace]:
        self._unread += messages
        changed: set[Workspace] = set()
        while self._unread:
            changed |= self._read(self._unread[0])
            del self._unread[0]
        return frozenset(changed)

    def _read(self, message: Message) -> frozenset[Workspace]:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- librdkafka's local errors are named so
                self.position = max(self.position, message.offset() or 0)
            else:
                _log.warning("erasures_read_failed", error=error.str())
            return _NOTHING
        offset, value = message.offset() or 0, message.value()
        self.position = offset + 1
        if value is None:
            return _NOTHING
        try:
            erasure = Erasure.from_record(self._decoder.decode(value))
        except (Undeliverable, ValueError) as problem:
            _log.error("erasure_unreadable", offset=offset, error=str(problem))
            return _NOTHING
        self.erasures.add(erasure)
        self.found.append((offset, erasure))
        return frozenset([erasure.workspace])
