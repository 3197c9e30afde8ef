"""The connections topic as a table of workspaces, and the follower that keeps it current.

A thread of its own reads the topic, so that neither a slow broker nor a registry that is down ever
holds up the loop which asks. The first time the topic is read to its end the rows become visible
all at once; after that, change by change.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from confluent_kafka import KafkaError, KafkaException

from heapline.clock import SystemClock
from heapline.errors import HeaplineError, NotReady, RegistryUnavailable
from heapline.kafka.arrivals import arrivals
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.connection_rows import (
    FETCH_WAIT_MS,
    Snapshot,
    Unreadable,
    load,
    log_unreadable,
    read_message,
)
from heapline.kafka.topics import CONNECTIONS, Names
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from confluent_kafka import Consumer, Message

    from heapline.clock import Clock
    from heapline.heap.connection import Connection
    from heapline.kafka.codec import SchemaSource
    from heapline.settings import KafkaSettings
    from heapline.words import AppId, Workspace

_log = logger(__name__)
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 -- librdkafka's local errors are named so
_GONE: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 -- as above
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- as above
)
_BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_LOOK_UP_SECONDS: Final = 0.25
_BATCH: Final = 500


class ConnectionTable:
    """What is known of every workspace now; pure, last write wins."""

    def __init__(self, rows: Mapping[Workspace, Connection] | None = None) -> None:
        self._rows: dict[Workspace, Connection] = dict(rows or {})
        self._removed: set[Workspace] = set()

    def get(self, workspace: Workspace) -> Connection | None:
        """Give a workspace's connection, or None where there is none."""
        return self._rows.get(workspace)

    def was_removed(self, workspace: Workspace) -> bool:
        """Tell whether a workspace had a connection, and has none now.

        Known for as long as Kafka keeps the record that removed it, at least a week.
        """
        return workspace in self._removed

    def by_app_id(self, app_id: AppId) -> Connection | None:
        """Give the connection that holds a Heap environment; looks at every row."""
        return next((row for row in self._rows.values() if row.app_id == app_id), None)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, workspace: Workspace, connection: Connection | None) -> bool:
        """Put or, with None, remove one row; tell whether that changed anything."""
        if connection is None:
            self._removed.add(workspace)
        else:
            self._removed.discard(workspace)
        if self._rows.get(workspace) == connection:
            return False
        if connection is None:
            del self._rows[workspace]
        else:
            self._rows[workspace] = connection
        return True

    def replace(
        self, rows: Mapping[Workspace, Connection], removed: Iterable[Workspace] = ()
    ) -> frozenset[Workspace]:
        """Hold these rows and no others; give the workspaces for which that is a change.

        Args:
            rows: all there are.
            removed: workspaces whose row was.
        """
        self._removed = set(removed)
        names = self._rows.keys() | rows.keys()
        changed = frozenset(name for name in names if self._rows.get(name) != rows.get(name))
        self._rows = dict(rows)
        return changed


class Connections(Protocol):
    """The table of workspaces as roles use it."""

    @property
    def table(self) -> ConnectionTable:
        """What is known; changes only during `poll`."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the topic was read to the end it had at the start."""
        ...

    @property
    def waiting_for(self) -> str | None:
        """What keeps it from being ready or current, for people; None when nothing does."""
        ...

    def poll(self, timeout_seconds: float = 0.0) -> frozenset[Workspace]:
        """Take in what has changed; give the workspaces concerned.

        Waits up to `timeout_seconds` for a first change. Never raises for what Kafka, the registry
        or a bad row do: then the older rows stay in force.
        """
        ...

    def close(self) -> None:
        """Stop following; the table stays as it is."""
        ...


@dataclass(frozen=True, slots=True)
class _Change:
    workspace: Workspace
    connection: Connection | None


class ConnectionFollower:
    """`Connections` on the real topic: one thread, one consumer that joins no group.

    Following starts at once. The table belongs to the thread that calls `poll`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        names: Names,
        schemas: SchemaSource,
        clock: Clock | None = None,
    ) -> None:
        self.table = ConnectionTable()
        self.ready = False
        self.waiting_for: str | None = "the connections to be read"
        self._kafka = kafka
        self._topic = names.topic(CONNECTIONS)
        self._decoder = Decoder("HeapConnection", schemas)
        self._clock = clock or SystemClock()
        self._changes: queue.SimpleQueue[Snapshot | _Change] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def poll(self, timeout_seconds: float = 0.0) -> frozenset[Workspace]:
        """See `Connections.poll`; costs about a microsecond when there is nothing."""
        changed: set[Workspace] = set()
        with contextlib.suppress(queue.Empty):
            if timeout_seconds > 0:
                changed |= self._apply(self._changes.get(timeout=timeout_seconds))
            while True:
                changed |= self._apply(self._changes.get_nowait())
        return frozenset(changed)

    def close(self) -> None:
        """See `Connections.close`."""
        self._stop.set()
        self._thread.join()

    def _apply(self, change: Snapshot | _Change) -> frozenset[Workspace]:
        if isinstance(change, Snapshot):
            self.ready = True
            return self.table.replace(change.rows, change.removed)
        changed = self.table.apply(change.workspace, change.connection)
        return frozenset([change.workspace] if changed else [])

    def _run(self) -> None:
        """Follow until stopped; whatever goes wrong is waited out and begun again."""
        failures = 0
        while not self._stop.is_set():
            consumer = lone_consumer(
                self._kafka, "connections", **{"fetch.wait.max.ms": FETCH_WAIT_MS}
            )
            try:
                self._load(consumer)
                failures = 0
                self._follow(consumer)
            except (HeaplineError, KafkaException) as error:
                self._wait_out(error, failures)
                failures += 1
            finally:
                consumer.close()

    def _load(self, consumer: Consumer) -> None:
        snapshot = load(
            consumer,
            self._topic,
            self._decoder,
            self._clock,
            timeout_seconds=self._kafka.timeout_seconds,
            stopped=self._stop.is_set,
        )
        snapshot.check_registry()
        if snapshot.ends.reached:
            self._changes.put(snapshot)
            self.waiting_for = None

    def _follow(self, consumer: Consumer) -> None:
        while not self._stop.is_set():
            for message in arrivals(consumer, _BATCH, _LOOK_UP_SECONDS):
                self._take(message)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._read(message)
        elif error.code() in _GONE:
            raise NotReady(f"topic {self._topic} is gone: run `heapline topics apply`")
        elif error.code() != _EOF:
            _log.warning("connections_read_failed", error=error.str())

    def _read(self, message: Message) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                row = read_message(message, self._decoder)
            except RegistryUnavailable as error:
                self._wait_out(error, failures)
                failures += 1
                continue
            except Unreadable as error:
                log_unreadable(message, error)
            else:
                self._changes.put(_Change(*row))
            self.waiting_for = None
            return

    def _wait_out(self, error: Exception, failures: int) -> None:
        self.waiting_for = str(error)
        wait_seconds = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
        _log.warning("connections_not_current", error=str(error), again_in_seconds=wait_seconds)
        self._stop.wait(wait_seconds)
