"""Records of the three topics, read many at a time.

What a membership record says besides its key stands in its headers too (see
`heapline.heap.membership_record`), so that its value need not be decoded: this is the hot path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from consumers.materializer.pages import Columns, Run
from consumers.materializer.segment_rows import visible_row
from heapline.errors import Undeliverable
from heapline.heap.membership_record import AT, PAGE_END, SYNC, MembershipChange
from heapline.heap.segment_keys import memberships_partition
from heapline.heap.segment_record import HeapSegment
from heapline.kafka.codec import Decoder
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from state.payload import OutcomeFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from consumers.materializer.segment_rows import VisibleRow
    from heapline.erasures import Erasures
    from heapline.kafka.codec import SchemaSource

Headers = list[tuple[str, bytes]]
_Facts = tuple[str, str, str, bool, int, str | None]
_Put = Callable[[str, str, str, bool, int, str | None], None]
_NO_HEADERS: Final[Headers] = []
_OWN_HEADERS: Final = 2
_REMEMBERED: Final = 10_000
_TELLING: Final = 8
"""So many unreadable records of one kind are logged one by one; all are counted."""
_log = logger(__name__)


class RecordReader:
    """Turns records into facts; what cannot be read is counted, logged and passed over.

    Args:
        schemas: the registry.
        memberships_partitions: of `heap.segment-memberships`.
        erasures: whose data was erased: what was accepted before is passed over in silence.

    Raises:
        RegistryUnavailable: by every method; nothing was taken, and the same call may succeed.
    """

    def __init__(
        self,
        schemas: SchemaSource,
        memberships_partitions: int,
        erasures: Erasures | None = None,
    ) -> None:
        self._erasures = erasures
        self._memberships = Decoder("SegmentMembership", schemas)
        self._segments = Decoder("HeapSegment", schemas)
        self._outcomes = Decoder("OutcomeCounts", schemas)
        self._partitions = memberships_partitions
        self._sync_ids: dict[bytes, str] = {}
        self._values: dict[bytes, tuple[int, str | None]] = {}
        self._told: dict[str, int] = {}

    def changes(self, messages: Sequence[Message]) -> Run:
        """Read neighbours of one partition."""
        columns = Columns()
        ends: list[tuple[int, int]] = []
        put = self._kept(_appender(columns))
        for message in messages:
            headers = cast("Headers", message.headers() or _NO_HEADERS)
            self._put(message, headers, put)
            if headers and _ends_page(headers):
                ends.append((len(columns), (message.offset() or 0) + 1))
        if len(self._sync_ids) > _REMEMBERED:
            self._sync_ids.clear()
        return Run(columns, ends, (messages[-1].offset() or 0) + 1)

    def changes_without_pages(self, messages: Sequence[Message]) -> Run:
        """The same where nobody looks yet, so that pages may be shown in parts.

        Reading headers costs more than all the rest; an enter's value tells as much, and
        neighbours have the same.
        """
        columns = Columns()
        put = self._kept(_appender(columns))
        values = self._values
        for message in messages:
            value = message.value()
            told = None if value is None else values.get(value) or self._remembered(value)
            if told is None:
                self._put(message, cast("Headers", message.headers() or _NO_HEADERS), put)
                continue
            try:
                workspace, user, segment = _key_of(message)
            except (ValueError, TypeError) as error:
                self._pass_over("membership", message, error)
                continue
            put(workspace, user, segment, True, *told)  # noqa: FBT003 -- as a column has it
        if len(values) > _REMEMBERED:
            values.clear()
        after = (messages[-1].offset() or 0) + 1
        return Run(columns, [(len(columns), after)], after)

    def _kept(self, put: _Put) -> _Put:
        """Pass over what was accepted before its user was erased."""
        erasures = self._erasures
        if not erasures:
            return put

        def put_unless_erased(
            workspace: str,
            user: str,
            segment: str,
            enters: bool,  # noqa: FBT001 -- as a column has it
            at_ms: int,
            sync: str | None,
        ) -> None:
            if not erasures.cover(workspace, user, at_ms):
                put(workspace, user, segment, enters, at_ms, sync)

        return put_unless_erased

    def row(self, message: Message) -> VisibleRow | None:
        """Read a segment's row; None for a tombstone and for what is none."""
        value = message.value()
        if value is None:
            return None
        try:
            segment = HeapSegment.from_record(self._segments.decode(value))
        except (Undeliverable, ValueError) as error:
            self._pass_over("segment", message, error)
            return None
        return visible_row(segment, memberships_partition(segment.workspace, self._partitions))

    def outcomes(self, message: Message) -> list[OutcomeFacts]:
        """Read one checkpoint's counts."""
        try:
            record = self._outcomes.decode(message.value())
        except Undeliverable as error:
            self._pass_over("outcomes", message, error)
            return []
        return [_outcome(record["workspace"], each) for each in record["counts"]]

    def _put(self, message: Message, headers: Headers, put: _Put) -> None:
        try:
            facts = self._quickly(message, headers)
        except (ValueError, TypeError):
            self._slowly(message, headers, put)
        else:
            put(*facts)

    def _quickly(self, message: Message, headers: Headers) -> _Facts:
        """Read a record as heapline writes it.

        Raises:
            ValueError, TypeError: it is not so written.
        """
        workspace, user, segment = _key_of(message)
        name, at_ms = headers[0] if headers else ("", b"")
        if name != AT:
            raise ValueError("its first header is another's")
        sync = None
        if len(headers) > 1 and headers[1][0] == SYNC:
            told = headers[1][1]
            # Thousands of neighbours name one sync: they share its text.
            sync = self._sync_ids.get(told) or self._sync_ids.setdefault(told, told.decode())
        return workspace, user, segment, message.value() is not None, int(at_ms), sync

    def _remembered(self, value: bytes) -> tuple[int, str | None] | None:
        """Read a value; None where it is none."""
        try:
            record = self._memberships.decode(value)
        except Undeliverable:
            return None
        told = int(record["entered_at"]), record["sync_task_id"]
        return self._values.setdefault(value, told)

    def _slowly(self, message: Message, headers: Headers, put: _Put) -> None:
        """Read a record as anybody may have written it."""
        try:
            change = MembershipChange.read(
                message.key(), message.value(), headers, message.timestamp()[1], self._when
            )
        except ValueError as error:
            self._pass_over("membership", message, error)
            return
        put(
            change.workspace,
            change.user,
            change.segment,
            change.enters,
            change.at_ms,
            change.sync,
        )

    def _when(self, value: bytes) -> dict[str, Any]:
        try:
            return self._memberships.decode(value)
        except Undeliverable as error:
            raise ValueError(str(error)) from error

    def _pass_over(self, what: str, message: Message, error: Exception) -> None:
        metrics.MATERIALIZER_UNREADABLE.labels(what).inc()
        self._told[what] = self._told.get(what, 0) + 1
        if self._told[what] <= _TELLING:
            _log.error(
                "record passed over",
                what=what,
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                reason=str(error)[:200],
            )


def _ends_page(headers: Headers) -> bool:
    """It comes last where heapline wrote the record; others may have added theirs."""
    if headers[-1][0] == PAGE_END:
        return True
    return len(headers) > _OWN_HEADERS and any(name == PAGE_END for name, _ in headers)


def _key_of(message: Message) -> tuple[str, str, str]:
    """Read a key.

    Raises:
        ValueError, TypeError: it is not an array of three texts.
    """
    key = orjson.loads(message.key() or b"")
    workspace, user, segment = key
    if not (type(key) is list and type(workspace) is type(user) is type(segment) is str):
        raise ValueError("the key is not an array of texts")
    return workspace, user, segment


def _appender(columns: Columns) -> _Put:
    """Give what appends to all columns; a tuple for each record would keep the collector busy."""
    workspaces, users, segments = columns.workspace, columns.user, columns.segment
    enter, times, syncs = columns.enters, columns.at_ms, columns.sync

    def put(
        workspace: str,
        user: str,
        segment: str,
        enters: bool,  # noqa: FBT001 -- as a column has it
        at_ms: int,
        sync: str | None,
    ) -> None:
        workspaces.append(workspace)
        users.append(user)
        segments.append(segment)
        enter.append(enters)
        times.append(at_ms)
        syncs.append(sync)

    return put


def _outcome(workspace: str, count: dict[str, Any]) -> OutcomeFacts:
    return OutcomeFacts(
        workspace=workspace,
        source=count["source"],
        event=count["event"],
        outcome=count["outcome"],
        reason=count["reason"],
        minute_ms=count["minute"],
        count=count["count"],
    )
