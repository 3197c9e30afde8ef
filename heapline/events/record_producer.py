"""The seam between a publisher and Kafka: queue a record, hear what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, Producer

from heapline.errors import HeaplineError, InvalidSetting, KafkaUnavailable, NotReady
from heapline.events.refusals import Refusal, refuse
from heapline.kafka.clients import PARTITIONER, producer_config, translated
from heapline.kafka.topics import EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.settings import KafkaSettings

Done = Callable[[HeaplineError | None], None]
"""Called once for a queued record: None means that the brokers hold it."""

_FIXED: Final[dict[str, str | bool]] = {"enable.idempotence": True, "partitioner": PARTITIONER}
_BOUNDS: Final[dict[str, str | int | bool]] = {
    "allow.auto.create.topics": False,
    "message.max.bytes": EVENT_BYTES,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
}
_NO_TOPIC: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- librdkafka's local errors are named so
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- as above
)


class RecordProducer(Protocol):
    """Queues records for one topic and tells what became of them; safe to share by threads."""

    def check_topic(self, seconds: float) -> None:
        """Make sure that the topic is there.

        Raises:
            NotReady: it is not; names the command that makes it.
            KafkaUnavailable: the brokers did not answer in time.
        """
        ...

    def send(self, key: bytes, value: bytes, done: Done) -> bool:
        """Queue a record; False, and nothing is queued, while the queue is full.

        Raises:
            InvalidEvent: `too_large`.
            MustStop: this producer cannot go on.
        """
        ...

    def poll(self, seconds: float) -> None:
        """Call `done` for whatever is settled; wait so long where nothing is."""
        ...

    def close(self) -> None:
        """Give up what is still queued, calling `done` for it."""
        ...


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Where Kafka is, and how to sign in; has what `heapline.kafka.clients` reads of settings.

    Attributes:
        librdkafka: any setting of librdkafka's (security, `linger.ms`, ...).
    """

    bootstrap_servers: str
    librdkafka: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def security(self) -> dict[str, str]:
        """Give none: `librdkafka` is laid over the whole configuration at once."""
        return {}

    def config(self, delivery_seconds: float) -> dict[str, Any]:
        """Give the configuration of a publisher's producer.

        Raises:
            InvalidSetting: `librdkafka` would break idempotence or partitioning.
        """
        for name, value in _FIXED.items():
            if self.librdkafka.get(name, value) != value:
                raise InvalidSetting(f"leave {name} out: heapline relies on {value}")
        # The client functions are annotated with the pydantic settings, which a service that
        # embeds the publisher does not have; they read these two attributes only.
        base = producer_config(cast("KafkaSettings", self), "publisher")
        delivery = {"delivery.timeout.ms": int(delivery_seconds * 1000)}
        return base | _BOUNDS | delivery | dict(self.librdkafka)


class KafkaRecordProducer:
    """A librdkafka producer for one topic; see `RecordProducer`."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._producer = Producer(dict(config))
        self._topic = topic

    def check_topic(self, seconds: float) -> None:
        """See `RecordProducer.check_topic`."""
        try:
            found = self._producer.list_topics(self._topic, timeout=seconds)
        except KafkaException as error:
            raise _delivery_error(error.args[0], self._topic) from error
        problem = found.topics[self._topic].error
        if problem is not None:
            raise _delivery_error(problem, self._topic)

    def send(self, key: bytes, value: bytes, done: Done) -> bool:
        """See `RecordProducer.send`."""

        def settled(error: KafkaError | None, _: object) -> None:
            done(None if error is None else _delivery_error(error, self._topic))

        try:
            self._producer.produce(self._topic, value, key, on_delivery=settled)
        except BufferError:
            return False
        except KafkaException as error:
            raise _delivery_error(error.args[0], self._topic) from error
        return True

    def poll(self, seconds: float) -> None:
        """See `RecordProducer.poll`."""
        self._producer.poll(seconds)

    def close(self) -> None:
        """See `RecordProducer.close`."""
        self._producer.purge()
        self._producer.flush(1)


def _delivery_error(error: KafkaError, topic: str) -> HeaplineError:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return refuse(Refusal.TOO_LARGE, f"the record is larger than {topic} takes")
    if error.code() in _NO_TOPIC:
        return NotReady(f"there is no topic {topic}: run `heapline topics apply`")
    known = translated(error)
    return known if isinstance(known, HeaplineError) else KafkaUnavailable(str(known))
