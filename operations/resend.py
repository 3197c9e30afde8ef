"""Handing records to the forwarder again, through the deferred topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaException, Producer

from heapline.errors import KafkaUnavailable
from heapline.kafka.clients import told_in_full, transactional_producer, translated
from heapline.kafka.headers import Deferral, Headers, Origin, foreign
from heapline.kafka.partition import partition_of
from heapline.kafka.read_to_end import partitions_of
from heapline.kafka.topics import DEFERRED, DLQ, EVENT_BYTES, HEADROOM_BYTES
from heapline.outcomes import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from confluent_kafka import Message

    from heapline.kafka.topics import Names
    from heapline.settings import Settings

RECORDS_PER_TRANSACTION: Final = 1_000
BYTES_PER_TRANSACTION: Final = 16 * 1024 * 1024
_COMMIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Marker:
    """A record in the DLQ which says that another one there was replayed.

    Attributes:
        partition: of the DLQ, the same as the replayed record's.
        key: the replayed record's.
        headers: name the replayed record.
    """

    partition: int
    key: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Resend:
    """One record for the deferred topic: key and value untouched.

    Attributes:
        partition: of the deferred topic.
        marker: to be written to the DLQ in the same transaction.
    """

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    marker: Marker | None = None

    @property
    def size_bytes(self) -> int:
        """About what it takes on the wire."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class Resender(Protocol):
    """Writes records to be sent again: each call all or nothing."""

    @property
    def partitions(self) -> int:
        """How many partitions the deferred topic has."""
        ...

    def write(self, records: Sequence[Resend]) -> None:
        """Write the records and their markers, at most `RECORDS_PER_TRANSACTION`.

        Raises:
            KafkaUnavailable: nothing of this call was written, or, if the brokers went away while
                it was committed, all of it; reading the DLQ tells.
            Fenced: another replay runs under the same instance id; nothing was written.
        """
        ...


class TransactionalResender:
    """`Resender` on a Kafka transaction a call.

    Making one ends what an earlier process with the same instance id left open, so a topic read
    afterwards holds everything that process committed.

    Raises:
        KafkaUnavailable, Fenced: from the constructor and from `write`.
        NotReady: from the constructor, if there is no topic of deferred events.
    """

    def __init__(self, settings: Settings, names: Names) -> None:
        self._deferred = names.topic(DEFERRED)
        self._dlq = names.topic(DLQ)
        self._timeout_seconds = settings.kafka.timeout_seconds
        self._producer: Producer = transactional_producer(
            settings.kafka,
            "replay",
            names.transactional_id("replay", settings.instance_id),
            **{"message.max.bytes": EVENT_BYTES + HEADROOM_BYTES},
        )
        try:
            self._producer.init_transactions(_COMMIT_SECONDS)
        except KafkaException as error:
            raise translated(error) from error
        self._partitions = len(partitions_of(self._producer, self._deferred, self._timeout_seconds))

    @property
    def partitions(self) -> int:
        """See `Resender.partitions`."""
        return self._partitions

    def write(self, records: Sequence[Resend]) -> None:
        """See `Resender.write`."""
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
            self._commit()
        except BufferError as error:
            self._abort()
            raise KafkaUnavailable(f"{self._deferred}: the brokers take nothing") from error
        except KafkaException as error:
            self._abort()
            raise translated(told_in_full(error, self._producer)) from error

    def _produce(self, record: Resend) -> None:
        self._producer.produce(
            self._deferred, record.value, record.key, record.partition, headers=[*record.headers]
        )
        marker = record.marker
        if marker is not None:
            self._producer.produce(
                self._dlq, None, marker.key, marker.partition, headers=[*marker.headers]
            )

    def _commit(self) -> None:
        try:
            self._producer.commit_transaction(_COMMIT_SECONDS)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            # A commit that got no answer in time must be asked for again, not aborted.
            self._producer.commit_transaction(_COMMIT_SECONDS)

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(self._timeout_seconds)
        except KafkaException:
            # The broker ends the transaction by itself when its timeout has passed.
            return


def resend(
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | None,
    origin: Origin,
    partitions: int,
    now_ms: int,
    marker: Marker | None = None,
) -> Resend:
    """Make the record which sends another one again, due at once.

    It goes to the partition its key belongs to, because that one's owner keeps the workspace's
    limits; without a key, to the partition of its origin. Headers that are not heapline's stay.
    """
    deferral = Deferral(
        origin=origin,
        source=Source.REPLAY,
        first_deferred_at_ms=now_ms,
        not_before_ms=now_ms,
        deferrals=0,
    )
    partition = partition_of(key, partitions) if key else origin.partition % partitions
    return Resend(partition, key, value, foreign(headers) + deferral.headers(), marker)


def transactions(
    records: Iterable[Resend],
    *,
    largest: int = RECORDS_PER_TRANSACTION,
    largest_bytes: int = BYTES_PER_TRANSACTION,
) -> Iterator[list[Resend]]:
    """Cut a stream of records into transactions, by count and by size; none is empty."""
    batch: list[Resend] = []
    size_bytes = 0
    for record in records:
        if batch and (len(batch) >= largest or size_bytes + record.size_bytes > largest_bytes):
            yield batch
            batch, size_bytes = [], 0
        batch.append(record)
        size_bytes += record.size_bytes
    if batch:
        yield batch


def headers_of(message: Message) -> Headers:
    """Give a record's headers; None stands as empty."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(k, v.encode() if isinstance(v, str) else v or b"") for k, v in pairs]
