"""What the segment sync consumer writes, written by tests: transactions of pages and rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_keys import memberships_partition, segment_key
from heapline.heap.segment_record import HeapSegment, SegmentStatus
from heapline.kafka import topics
from heapline.words import SegmentId, UserId, Workspace
from tests.on_kafka import encoder_for, transaction_producer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import KafkaError, Message

    from heapline.kafka.topics import Names
    from heapline.settings import Settings


@dataclass
class Page:
    """Who enters and who leaves one segment."""

    workspace: str = "acme"
    segment: str = "s1"
    add: Iterable[str] = ()
    remove: Iterable[str] = ()
    sync: str | None = "sync-1"
    name: str = ""


@dataclass
class PageWriter:
    """Writes pages as transactions; each raises the page's offset by one."""

    settings: Settings
    names: Names
    partitions: int
    members: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._producer = transaction_producer(self.settings, "pages")
        self._values = encoder_for(self.settings, self.names, topics.MEMBERSHIPS)
        self._rows = encoder_for(self.settings, self.names, topics.SEGMENTS)
        self._pages = 0
        self._offset = -1

    def write(self, *pages: Page, commit: bool = True) -> None:
        """Write pages in one transaction, committed or aborted."""
        self._producer.begin_transaction()
        for page in pages:
            self._page(page, remember=commit)
        if commit:
            self._producer.commit_transaction(20)
        else:
            self._producer.abort_transaction(20)

    def _page(self, page: Page, *, remember: bool) -> None:
        at_ms = time.time_ns() // 1_000_000
        workspace, segment = Workspace(page.workspace), SegmentId(page.segment)
        users = [(user, True) for user in page.add] + [(user, False) for user in page.remove]
        partition = memberships_partition(workspace, self.partitions)
        for n, (user, enters) in enumerate(users):
            change = MembershipChange(
                workspace, UserId(user), segment, enters, at_ms, page.sync, n == len(users) - 1
            )
            record = change.to_record()
            self._producer.produce(
                self.names.topic(topics.MEMBERSHIPS),
                key=change.key(),
                value=None if record is None else self._values.encode(record),
                headers=[(name, told) for name, told in change.headers()],
                partition=partition,
                on_delivery=self._delivered,
            )
        assert self._producer.flush(20) == 0
        self._row(page, at_ms)
        if remember:
            members = self.members.setdefault((page.workspace, page.segment), set())
            members.update(page.add)
            members.difference_update(page.remove)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        self._offset = message.offset() or 0

    def _row(self, page: Page, at_ms: int) -> None:
        self._pages += 1
        row = HeapSegment(
            workspace=Workspace(page.workspace),
            segment_id=SegmentId(page.segment),
            updated_at_ms=at_ms,
            pages_partition=0,
            pages_offset=self._pages,
            status=SegmentStatus.COMPLETE,
            name=page.name,
            memberships_offset=self._offset,
        )
        self._producer.produce(
            self.names.topic(topics.SEGMENTS),
            key=segment_key(row.workspace, row.segment_id),
            value=self._rows.encode(row.to_record()),
        )
