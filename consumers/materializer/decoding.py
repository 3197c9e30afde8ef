"""Records of the three topics, read many at a time.

Membership records are the hot path: they are read as columns where they can be (`columns`), else
one by one, which is exact whoever wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
from confluent_kafka import Message

from consumers.materializer.columns import FURTHEST, ends_page, facts_in_columns, keys_in_columns
from consumers.materializer.pages import Run
from consumers.materializer.segment_rows import visible_row
from heapline.errors import Undeliverable
from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_keys import memberships_partition
from heapline.heap.segment_record import HeapSegment
from heapline.kafka.codec import Decoder
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from state.payload import OutcomeFacts
from state.raw_changes import RawChanges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumers.materializer.columns import Headers, Told
    from consumers.materializer.segment_rows import VisibleRow
    from heapline.erasures import Erasures
    from heapline.kafka.codec import SchemaSource
    from state.raw_changes import Fact

_AT_ONCE: Final = 1_000
"""Records in one try at reading columns: one that is unusual sends as many the exact way."""
_REMEMBERED: Final = 10_000
_TELLING: Final = 8
"""So many unreadable records of one kind are logged one by one; all are counted."""
_log = logger(__name__)


def count_unreadable(what: str) -> None:
    """Count a record that is passed over, by what it should have been."""
    metrics.MATERIALIZER_UNREADABLE.labels(what).inc()


class Read(NamedTuple):
    """What records said.

    Attributes:
        changes: the facts.
        before: for each record how many of them stand up to and including it.
        turns: places of the records that may end a page, ascending.
    """

    changes: RawChanges
    before: Sequence[int]
    turns: Sequence[int]


class RecordReader:
    """Turns records into facts; what cannot be read is counted, logged and passed over.

    Args:
        schemas: the registry.
        memberships_partitions: of `heap.segment-memberships`.
        erasures: whose data was erased: what was accepted before is passed over in silence.
        unreadable: told of each record that is passed over, what it should have been.

    Raises:
        RegistryUnavailable: by every method; nothing was taken, and the same call may succeed.
    """

    def __init__(
        self,
        schemas: SchemaSource,
        memberships_partitions: int,
        erasures: Erasures | None = None,
        unreadable: Callable[[str], None] = count_unreadable,
    ) -> None:
        self._erasures, self._unreadable = erasures, unreadable
        self._memberships = Decoder("SegmentMembership", schemas)
        self._segments = Decoder("HeapSegment", schemas)
        self._outcomes = Decoder("OutcomeCounts", schemas)
        self._partitions = memberships_partitions
        self._values: dict[bytes, Told] = {}
        self._told: dict[str, int] = {}

    def changes(self, messages: Sequence[Message], *, whole_pages: bool = True) -> Run:
        """Read neighbours of one partition.

        Args:
            messages: records, no errors.
            whole_pages: tell where pages end; else they end behind the last record.
        """
        parts: list[RawChanges] = []
        ends: list[tuple[int, int]] = []
        count = 0
        for start in range(0, len(messages), _AT_ONCE):
            some = messages[start : start + _AT_ONCE]
            part, before, turns = self.in_columns(some) or self.one_by_one(some)
            if whole_pages:
                ends += [
                    (count + before[place], (some[place].offset() or 0) + 1)
                    for place in turns
                    if ends_page(headers_of(some[place]))
                ]
            parts.append(part)
            count += len(part)
        after = (messages[-1].offset() or 0) + 1
        if not whole_pages:
            ends = [(count, after)]
        if len(self._values) > _REMEMBERED:
            self._values.clear()
        return Run(RawChanges.joined([part for part in parts if len(part)]), ends, after)

    def in_columns(self, messages: Sequence[Message]) -> Read | None:
        """Read records as heapline writes them; None where one is not so written."""
        keys = keys_in_columns([*map(Message.key, messages)])
        if keys is None:
            return None
        facts = facts_in_columns(
            [*map(Message.value, messages)], self._told_by, lambda at: headers_of(messages[at])
        )
        if facts is None:
            return None
        raw = RawChanges(
            keys.user, keys.names, keys.name, facts.enters, facts.at_ms, facts.syncs, facts.sync
        )
        turns = turns_of(raw)
        if not self._erasures:
            return Read(raw, range(1, len(raw) + 1), turns)
        kept = np.fromiter(map(self._is_kept, raw.facts()), np.bool_, len(raw))
        return Read(raw.where(kept), np.cumsum(kept).tolist(), turns)

    def one_by_one(self, messages: Sequence[Message]) -> Read:
        """Read records as anybody may have written them."""
        facts: list[Fact] = []
        before: list[int] = []
        for message in messages:
            fact = self._fact(message, headers_of(message))
            if fact is not None and self._is_kept(fact):
                facts.append(fact)
            before.append(len(facts))
        return Read(RawChanges.of(facts), before, range(len(messages)))

    def _fact(self, message: Message, headers: Headers) -> Fact | None:
        try:
            change = MembershipChange.read(
                message.key(), message.value(), headers, message.timestamp()[1], self._when
            )
        except ValueError as error:
            self._pass_over("membership", message, error)
            return None
        if abs(change.at_ms) >= FURTHEST:
            self._pass_over("membership", message, f"there is no time {change.at_ms}")
            return None
        who = change.workspace, change.user, change.segment
        return (*who, change.enters, change.at_ms, change.sync)

    def _is_kept(self, fact: Fact) -> bool:
        """Pass over what was accepted before its user was erased."""
        workspace, user, _, _, at_ms, _ = fact
        return not self._erasures or not self._erasures.cover(workspace, user, at_ms)

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

    def _told_by(self, value: bytes) -> Told | None:
        """Read a value; None where it is none."""
        told = self._values.get(value)
        if told is not None:
            return told
        try:
            record = self._memberships.decode(value)
        except Undeliverable:
            return None
        told = int(record["entered_at"]), record["sync_task_id"]
        return self._values.setdefault(value, told)

    def _when(self, value: bytes) -> dict[str, Any]:
        try:
            return self._memberships.decode(value)
        except Undeliverable as error:
            raise ValueError(str(error)) from error

    def _pass_over(self, what: str, message: Message, error: object) -> None:
        self._unreadable(what)
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


def headers_of(message: Message) -> Headers:
    """Give a record's headers; reading them costs as much as all the rest of it."""
    return cast("Headers", message.headers() or [])


def turns_of(raw: RawChanges) -> list[int]:
    """Give the records that may end a page.

    Records of one page that enter stand together and say the same, so the last of them is followed
    by one that says something else. Where two pages say the same, the first ends with the second.
    """
    may = ~raw.enters
    may[-1] = True
    for column in (raw.name, raw.at_ms, raw.sync, raw.enters):
        may[:-1] |= column[1:] != column[:-1]
    turns: list[int] = np.flatnonzero(may).tolist()
    return turns


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
