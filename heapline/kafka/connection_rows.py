"""The records of the connections topic, read one by one or all up to the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from heapline.clock import Deadline
from heapline.errors import KafkaUnavailable, RegistryUnavailable, Undeliverable, UnknownSchema
from heapline.heap.connection import Connection
from heapline.kafka.arrivals import arrivals
from heapline.kafka.clients import translated
from heapline.kafka.read_to_end import STALL_SECONDS, Ends, bounds, partitions_of
from heapline.telemetry.logs import logger
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer, Message

    from heapline.clock import Clock
    from heapline.kafka.codec import Decoder

_log = logger(__name__)
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 -- librdkafka's local errors are named so
_POLL_SECONDS: Final = 0.1
_BATCH: Final = 500
FETCH_WAIT_MS: Final = 200
"""Shorter than librdkafka's 500 ms: the end of a quiet topic is noticed after one such wait."""


class Unreadable(ValueError):
    """A row of the connections topic that this version cannot read.

    Attributes:
        workspace: whose, or None where even the key is not text.
        unknown_schema: whether the registry does not know its schema.
    """

    def __init__(
        self, workspace: Workspace | None, message: str, *, unknown_schema: bool = False
    ) -> None:
        super().__init__(message)
        self.workspace = workspace
        self.unknown_schema = unknown_schema


def read_row(
    key: bytes | None, value: bytes | None, decoder: Decoder
) -> tuple[Workspace, Connection | None]:
    """Read one record; None as connection is a tombstone.

    Raises:
        Unreadable: key or value are not what `heap.connections` holds.
        RegistryUnavailable: the value's schema is not known yet and nobody answers.
    """
    workspace = _workspace(key)
    if value is None:
        return workspace, None
    try:
        connection = Connection.from_record(decoder.decode(value))
    except UnknownSchema as error:
        raise Unreadable(workspace, str(error), unknown_schema=True) from error
    except (Undeliverable, ValueError) as error:
        raise Unreadable(workspace, str(error)) from error
    if connection.workspace != workspace:
        raise Unreadable(workspace, f"its key is {workspace!r}, not {connection.workspace!r}")
    return workspace, connection


def _workspace(key: bytes | None) -> Workspace:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise Unreadable(None, "its key is not UTF-8") from error
    if not text:
        raise Unreadable(None, "it has no key")
    return Workspace(text)


@dataclass(slots=True)
class Snapshot:
    """The topic as it was read so far; pure.

    Attributes:
        ends: which partitions are still to be read to the end they had at the start.
        rows: what was read, last write wins.
        removed: workspaces whose last record says that they have no row any more.
        unreadable: why a workspace's latest row could not be read; its older version stands.
        unknown_schemas: rows whose schema the registry does not know.
    """

    ends: Ends
    rows: dict[Workspace, Connection] = field(default_factory=dict)
    removed: set[Workspace] = field(default_factory=set)
    unreadable: dict[Workspace | None, str] = field(default_factory=dict)
    unknown_schemas: int = 0

    def put(self, workspace: Workspace, connection: Connection | None) -> None:
        """Take one row; None removes it."""
        self.unreadable.pop(workspace, None)
        if connection is None:
            self.rows.pop(workspace, None)
            self.removed.add(workspace)
        else:
            self.rows[workspace] = connection
            self.removed.discard(workspace)

    def put_aside(self, row: Unreadable) -> None:
        """Remember a row that cannot be read."""
        self.unreadable[row.workspace] = str(row)
        self.unknown_schemas += row.unknown_schema

    def check_registry(self) -> None:
        """Doubt the registry when it knows the schema of no row at all.

        Raises:
            RegistryUnavailable: not one row is readable, for want of schemas.
        """
        if self.unknown_schemas and not self.rows:
            raise RegistryUnavailable(
                f"the registry knows the schemas of none of {self.unknown_schemas} connections: is "
                "HEAPLINE_SCHEMA_REGISTRY__URL the registry they were written with?"
            )


def open_at_beginning(consumer: Consumer, topic: str, timeout_seconds: float) -> Ends:
    """Assign all of the topic from its beginning and note the ends there are now.

    Raises:
        NotReady: the topic does not exist.
        KafkaUnavailable: the brokers did not answer in time.
    """
    partitions = partitions_of(consumer, topic, timeout_seconds)
    found = {each: bounds(consumer, topic, each, timeout_seconds) for each in partitions}
    try:
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    except KafkaException as error:
        raise translated(error) from error
    return Ends({each: high for each, (low, high) in found.items() if high > low})


def load(
    consumer: Consumer,
    topic: str,
    decoder: Decoder,
    clock: Clock,
    *,
    timeout_seconds: float = 10.0,
    stall_seconds: float = STALL_SECONDS,
    stopped: Callable[[], bool] = lambda: False,
) -> Snapshot:
    """Read the whole topic, and keep what comes after the end, too: a follower goes on from there.

    Args:
        consumer: from `clients.lone_consumer`; stays assigned at the end of the topic.
        topic: its name, prefix included.
        decoder: of `HeapConnection`.
        clock: for `stall_seconds`.
        timeout_seconds: how long one question to the brokers may take.
        stall_seconds: how long nothing may come before giving up.
        stopped: asked between batches; the snapshot is not complete then.

    Raises:
        NotReady: the topic does not exist.
        KafkaUnavailable: the brokers do not answer, or nothing came for `stall_seconds`.
        RegistryUnavailable: from reading a row.
    """
    snapshot = Snapshot(open_at_beginning(consumer, topic, timeout_seconds))
    patience = Deadline(clock, stall_seconds)
    while not snapshot.ends.reached and not stopped():
        messages = arrivals(consumer, _BATCH, _POLL_SECONDS)
        for message in messages:
            _take(snapshot, message, decoder)
        if messages:
            patience = Deadline(clock, stall_seconds)
        elif patience.passed():
            raise KafkaUnavailable(f"{topic} could not be read to its end: nothing comes")
    return snapshot


def _take(snapshot: Snapshot, message: Message, decoder: Decoder) -> None:
    error = message.error()
    if error is None:
        snapshot.ends.wants(message.partition() or 0, message.offset() or 0)
        try:
            snapshot.put(*read_message(message, decoder))
        except Unreadable as row:
            log_unreadable(message, row)
            snapshot.put_aside(row)
    elif error.code() == _EOF:
        snapshot.ends.at(message.partition() or 0, message.offset() or 0)
    else:
        _log.warning("connections_read_failed", error=error.str())


def log_unreadable(message: Message, row: Unreadable) -> None:
    """Say which record could not be read, and that the older one stands."""
    _log.error(
        "connection_unreadable",
        workspace=row.workspace,
        partition=message.partition(),
        offset=message.offset(),
        error=str(row),
        consequence="the older version of this connection stays in force",
    )


def read_message(message: Message, decoder: Decoder) -> tuple[Workspace, Connection | None]:
    """Read one record, as `read_row` does."""
    return read_row(_bytes(message.key()), _bytes(message.value()), decoder)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
