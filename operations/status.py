"""How the forwarders are: their own words, and the lag by topics and offsets, which need no words.

What no forwarder has read is counted record by record by its key, from where the running
forwarders have read to (else from the group's offsets) to the ends. Nothing is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaException

from consumers.forwarder.record import key_text
from consumers.forwarder.status import ForwarderStatus
from heapline.clock import Deadline, SystemClock
from heapline.errors import KafkaUnavailable
from heapline.kafka.clients import admin, lone_consumer, translated
from heapline.kafka.connection_table import ConnectionFollower
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import partitions_of, read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import DEFERRED, EVENTS, FORWARDER_STATUS
from operations.lag import BlockedCheckpoint, Unread, WorkspaceLag, blocked, positions, workspaces
from operations.replay import settled_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from confluent_kafka import Message

    from heapline.clock import Clock
    from heapline.kafka.topics import Names, Topic
    from heapline.settings import Settings

MOST_COUNTED: Final = 300_000
"""Records counted by workspace at one look; a second or two. More is told as *at least*."""
_POLL_SECONDS: Final = 0.05
_FETCH_WAIT_MS: Final = 20
"""A question about offsets waits behind a fetch that waits for records, partition by partition."""


@dataclass(frozen=True, slots=True)
class Status:
    """One look.

    Attributes:
        at_ms: when, milliseconds since 1970-01-01 UTC.
        forwarders: those that run; `silent` are those not heard of any more.
        events_lag: offsets of the events topic that no checkpoint has passed.
        unowned: partitions of the events topic that no running forwarder owns.
        workspaces: with something waiting, or in trouble; the most troubled first.
        complete: whether all that waits was counted; if not, there is at least so much.
        blocked: records that block a checkpoint, the longest first.
    """

    at_ms: int
    forwarders: list[ForwarderStatus] = field(default_factory=list)
    silent: list[ForwarderStatus] = field(default_factory=list)
    events_lag: int = 0
    unowned: list[int] = field(default_factory=list)
    workspaces: list[WorkspaceLag] = field(default_factory=list)
    complete: bool = True
    blocked: list[BlockedCheckpoint] = field(default_factory=list)


class Observer:
    """Looks at an installation as often as it is asked.

    Args:
        settings, names: of the installation.
        most_counted: see `MOST_COUNTED`.
        clock: the machine's own unless given.
    """

    def __init__(
        self,
        settings: Settings,
        names: Names,
        most_counted: int = MOST_COUNTED,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._names = names
        self._most_counted = most_counted
        self._clock = clock or SystemClock()
        self._consumer = lone_consumer(
            settings.kafka, "status", **{"fetch.wait.max.ms": _FETCH_WAIT_MS}
        )
        self._admin = admin(settings.kafka)
        self._schemas = Registry(settings.schema_registry)
        self._connections = ConnectionFollower(settings.kafka, names, self._schemas, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connections.close()
        self._consumer.close()
        self._schemas.close()

    def look(self) -> Status:
        """Look once.

        Raises:
            NotReady: topics are missing.
            KafkaUnavailable, RegistryUnavailable: they do not answer.
        """
        self._wait_for_connections()
        now_ms = self._clock.epoch_ms()
        alive, silent = self.forwarders(now_ms)
        numbers = partitions_of(self._consumer, self._names.topic(EVENTS))
        settled = settled_offsets(self._settings, self._names, numbers)
        lag = {n: end - settled.get(n, 0) for n, end in self._ends(EVENTS, numbers).items()}
        owned = positions(alive)
        unread = self._unread(owned, numbers, settled)
        events = self._names.topic(EVENTS)
        return Status(
            now_ms,
            alive,
            silent,
            sum(max(0, each) for each in lag.values()),
            [number for number in numbers if (events, number) not in owned],
            workspaces(
                alive,
                unread,
                {row.workspace: row for row in self._connections.table},
                self._settings.limits,
            ),
            unread.complete,
            blocked(alive),
        )

    def _wait_for_connections(self) -> None:
        self._connections.poll()
        deadline = Deadline(self._clock, self._settings.kafka.timeout_seconds)
        while not self._connections.ready:
            if deadline.passed():
                raise KafkaUnavailable(f"no connections: {self._connections.waiting_for}")
            self._connections.poll(_POLL_SECONDS)

    def forwarders(self, now_ms: int) -> tuple[list[ForwarderStatus], list[ForwarderStatus]]:
        """Give the forwarders that run, and those not heard of any more; raises as `look`."""
        last: dict[bytes, ForwarderStatus] = {}
        for message in self._read(FORWARDER_STATUS):
            key, value = message.key() or b"", message.value()
            if value is None:
                last.pop(key, None)
                continue
            try:
                last[key] = ForwarderStatus.from_json(value)
            except ValueError:  # of a version that we do not know, or not a forwarder's
                last.pop(key, None)
        statuses = sorted(last.values(), key=lambda status: status.instance_id)
        silent = [status for status in statuses if status.silent(now_ms)]
        return [status for status in statuses if not status.silent(now_ms)], silent

    def _unread(
        self, owned: Mapping[tuple[str, int], int], numbers: list[int], settled: Mapping[int, int]
    ) -> Unread:
        unread = Unread()
        deferred = settled_offsets(self._settings, self._names, numbers, DEFERRED)
        left = self._most_counted
        for topic, counts, group in (
            (EVENTS, unread.events, settled),
            (DEFERRED, unread.deferred, deferred),
        ):
            name = self._names.topic(topic)
            starts = {n: owned.get((name, n), group.get(n, 0)) for n in numbers}
            for message in self._read(topic, starts):
                if left == 0:
                    unread.complete = False
                    return unread
                left -= 1
                counts[key_text(message.key())] += 1
        return unread

    def _read(self, topic: Topic, starts: Mapping[int, int] | None = None) -> Iterator[Message]:
        yield from read_to_end(
            self._consumer,
            self._names.topic(topic),
            starts=starts,
            timeout_seconds=self._settings.kafka.timeout_seconds,
        )
        self._consumer.unassign()

    def _ends(self, topic: Topic, numbers: list[int]) -> dict[int, int]:
        logs = Logs(self._admin, self._settings.kafka.timeout_seconds)
        try:
            return logs.ends(self._names.topic(topic), numbers)
        except KafkaException as error:
            raise translated(error) from error
