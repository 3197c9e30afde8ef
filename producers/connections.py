"""The only writer of the connections topic.

Every write is: take over the one transactional id, read the topic to its end, decide, write the
next version, commit. Taking over fences whoever wrote before, so of two writers at once the slower
one reads again and nothing is lost; and a writer killed inside its transaction is aborted by the
next one, not waited for (KIP-98).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaException

from heapline.clock import SystemClock
from heapline.errors import CallerMistake, Fenced, KafkaUnavailable
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.kafka.clients import (
    lone_consumer,
    told_in_full,
    transactional_producer,
    translated,
)
from heapline.kafka.codec import Decoder, Encoder
from heapline.kafka.connection_rows import FETCH_WAIT_MS, load
from heapline.kafka.topics import CONNECTIONS, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Producer

    from heapline.clock import Clock
    from heapline.kafka.connection_rows import Snapshot
    from heapline.kafka.topics import Topic
    from heapline.settings import KafkaSettings
    from heapline.words import AppId, Workspace

TRANSACTIONAL_ROLE: Final = "connections"
TRANSACTIONAL_INSTANCE: Final = "registry"
"""The same for every writer on purpose: that is what makes them fence one another."""
ATTEMPTS: Final = 12
_BACKOFF_SECONDS: Final = 0.1
_BACKOFF_MAX_SECONDS: Final = 3.0
_LONGEST: Final = 255
_LONGEST_TOKEN: Final = 4096


class AlreadyClaimed(CallerMistake):
    """Another workspace holds this Heap environment; the message names it, for operators only."""


@dataclass(frozen=True, slots=True)
class ConnectionPatch:
    """What to change of a connection; None leaves a thing as it is, an empty tuple empties it."""

    app_id: AppId | None = None
    region: Region | None = None
    send: Send | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    blocked_categories: frozenset[BlockedCategory] | None = None
    send_anonymous: bool | None = None
    id_token: str | None = None
    partner_app_id: str | None = None
    allowed_by: str | None = None
    allowed_at_ms: int | None = None

    def changes(self) -> dict[str, object]:
        """Give the fields that are named."""
        named = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in named if value is not None}


def patched(
    workspace: Workspace, patch: ConnectionPatch, rows: Iterable[Connection], now_ms: int
) -> Connection:
    """Decide a workspace's next version; the current one where nothing changes.

    Args:
        workspace: whose.
        patch: what to change.
        rows: every connection there is.
        now_ms: milliseconds since 1970-01-01 UTC.

    Raises:
        CallerMistake: a value is not usable, a region is missing, or another workspace holds the
            app id or the token.
    """
    known = {row.workspace: row for row in rows}
    current = known.get(workspace) or Connection(workspace)
    _check(workspace, patch)
    changed = replace(current, **patch.changes())  # type: ignore[arg-type] # the patch has its fields' types
    if changed == current and current.version:
        return current
    if changed.app_id is not None and changed.region is None:
        raise CallerMistake(
            f"in which region does Heap keep app {changed.app_id}? Say --region us or --region eu: "
            "it is not guessed, because Heap may accept events for apps it does not know"
        )
    return next_version(current, changed, known.values(), now_ms)


def next_version(
    current: Connection, changed: Connection, rows: Iterable[Connection], now_ms: int
) -> Connection:
    """Give a changed row its version and time.

    Raises:
        CallerMistake: another workspace holds the app id or the token.
    """
    for row in rows:
        if row.workspace != changed.workspace:
            _refuse_second_claim(changed, row)
    return replace(changed, version=current.version + 1, updated_at_ms=now_ms)


def _refuse_second_claim(changed: Connection, other: Connection) -> None:
    both = {changed.app_id, changed.env_id} & {other.app_id, other.env_id} - {None}
    if both:
        raise AlreadyClaimed(
            f"app id {both.pop()} belongs to workspace {other.workspace}, and one Heap "
            "environment belongs to one workspace: check the id, or first "
            f"`heapline connections remove {other.workspace}`"
        )
    if changed.id_token is not None and changed.id_token == other.id_token:
        raise AlreadyClaimed(
            f"this id_token belongs to workspace {other.workspace}: Heap's webhook could not tell "
            "the two apart; check which customer it was issued to"
        )


def _check(workspace: Workspace, patch: ConnectionPatch) -> None:
    check_text("workspace", workspace, _LONGEST)
    check_text("app id", patch.app_id, _LONGEST)
    check_text("id_token", patch.id_token, _LONGEST_TOKEN)
    for glob in (patch.include or ()) + (patch.exclude or ()):
        check_text(f"filter {glob!r}", glob, _LONGEST)


def check_text(name: str, text: str | None, longest: int) -> None:
    """Refuse what is not printable text of a sensible length, and None not.

    Raises:
        CallerMistake: see above.
    """
    if text is None:
        return
    if not (0 < len(text) <= longest and text.isprintable() and text == text.strip()):
        raise CallerMistake(
            f"{name}: must be printable text without spaces around it, of 1 to {longest} characters"
        )


class Decision(Protocol):
    """Decides a workspace's next version; pure."""

    def __call__(self, rows: tuple[Connection, ...], now_ms: int, /) -> Connection:
        """Give it, from every connection there is; the current one where nothing changes."""
        ...


class Schemas(Protocol):
    """What is asked of the schema registry; `heapline.kafka.registry.Registry` is one."""

    def schema_by_id(self, schema_id: int) -> str:
        """See `heapline.kafka.codec.SchemaSource`."""
        ...

    def id_for_writing(self, names: Names, topic: Topic) -> int:
        """Give the id to write a topic's records with; raises `NotReady` where there is none."""
        ...


class ConnectionRegistry:
    """Reads and changes `heap.connections`.

    Every method raises `NotReady` (topic or schema missing), `KafkaUnavailable` or
    `RegistryUnavailable`. Nothing is changed then, unless the message says that it is not known.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        schemas: Schemas,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._kafka = kafka
        self._names = Names(kafka.prefix)
        self._topic = self._names.topic(CONNECTIONS)
        self._schemas = schemas
        self._decoder = Decoder("HeapConnection", schemas)
        self._clock = clock or SystemClock()
        self._jitter = jitter

    def list(self) -> tuple[Connection, ...]:
        """Give every connection, by workspace."""
        return tuple(row for _, row in sorted(self.read().rows.items()))

    def set(self, workspace: Workspace, patch: ConnectionPatch) -> Connection:
        """Change what the patch names; give the version then in force.

        Raises:
            CallerMistake: see `patched`; or this version cannot read the row it would change.
        """
        return self.change(workspace, lambda rows, now_ms: patched(workspace, patch, rows, now_ms))

    def change(self, workspace: Workspace, decide: Decision) -> Connection:
        """Write a workspace's next version as decided from all rows there are; give it.

        Raises:
            CallerMistake: this version cannot read the row it would change; or from `decide`, which
                may be asked again when another writer was quicker.
        """

        def decided(snapshot: Snapshot) -> Connection:
            if workspace in snapshot.unreadable:
                raise CallerMistake(
                    f"the connection of {workspace} cannot be read "
                    f"({snapshot.unreadable[workspace]}): upgrade heapline if a newer one wrote "
                    f"it, or start over with `heapline connections remove {workspace}`"
                )
            return decide(tuple(snapshot.rows.values()), self._clock.epoch_ms())

        connection = self._write(workspace, decided)
        assert connection is not None  # noqa: S101 -- a decision always gives one
        return connection

    def remove(self, workspace: Workspace) -> None:
        """Remove a workspace's connection, readable or not.

        Raises:
            CallerMistake: there is none.
        """

        def decide(snapshot: Snapshot) -> Connection | None:
            if workspace not in snapshot.rows and workspace not in snapshot.unreadable:
                raise CallerMistake(
                    f"there is no connection of {workspace}: see `heapline connections list`"
                )
            return None

        self._write(workspace, decide)

    def read(self) -> Snapshot:
        """Give everything there is, unreadable rows too."""
        consumer = lone_consumer(
            self._kafka, "connections-registry", **{"fetch.wait.max.ms": FETCH_WAIT_MS}
        )
        try:
            snapshot = load(
                consumer,
                self._topic,
                self._decoder,
                self._clock,
                timeout_seconds=self._kafka.timeout_seconds,
            )
        finally:
            consumer.close()
        snapshot.check_registry()
        return snapshot

    def _write(
        self, workspace: Workspace, decide: Callable[[Snapshot], Connection | None]
    ) -> Connection | None:
        """Write what is decided; again from the start when another writer took over."""
        encoder = Encoder("HeapConnection", self._schemas.id_for_writing(self._names, CONNECTIONS))
        for attempt in range(ATTEMPTS):
            try:
                return self._write_once(workspace, decide, encoder)
            except Fenced:
                longest_seconds = min(_BACKOFF_SECONDS * 2**attempt, _BACKOFF_MAX_SECONDS)
                self._clock.sleep(longest_seconds * self._jitter())
        raise KafkaUnavailable(
            f"{ATTEMPTS} times another writer of connections was quicker: try again later"
        )

    def _write_once(
        self,
        workspace: Workspace,
        decide: Callable[[Snapshot], Connection | None],
        encoder: Encoder,
    ) -> Connection | None:
        transactional_id = self._names.transactional_id(TRANSACTIONAL_ROLE, TRANSACTIONAL_INSTANCE)
        producer = transactional_producer(self._kafka, "connections", transactional_id)
        try:
            producer.init_transactions(self._kafka.timeout_seconds)
            snapshot = self.read()
            connection = decide(snapshot)
            if connection is None or connection != snapshot.rows.get(workspace):
                value = None if connection is None else encoder.encode(connection.to_record())
                self._commit(producer, workspace.encode(), value)
        except KafkaException as error:
            raise translated(told_in_full(error, producer)) from error
        return connection

    def _commit(self, producer: Producer, key: bytes, value: bytes | None) -> None:
        producer.begin_transaction()
        producer.produce(self._topic, key=key, value=value)
        try:
            producer.commit_transaction(self._kafka.timeout_seconds)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                producer.abort_transaction(self._kafka.timeout_seconds)
            elif error.args[0].retriable():
                raise KafkaUnavailable(
                    "Kafka did not confirm the change in time: see `heapline connections list` "
                    "whether it is there"
                ) from error
            raise
