"""One membership in the group, from joining to leaving: reads pages, decides, writes.

A session keeps nothing that Kafka does not hold. Whatever goes wrong ends it; the next one begins
with what was committed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from consumers.segment_sync.decisions import (
    Apply,
    Aside,
    Decision,
    Drain,
    Duplicate,
    Late,
    Place,
    decide,
    decide_late,
    undecodable,
)
from consumers.segment_sync.segment_table import of_partitions
from consumers.segment_sync.writes import Key, PageChanges, Writes, parts_of
from heapline.errors import KafkaUnavailable, Undeliverable, UnknownSchema
from heapline.heap.segment_keys import read_key
from heapline.heap.segment_page import Action, SegmentPage
from heapline.kafka.erasure_log import NoErasures
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from confluent_kafka import Message

    from consumers.segment_sync.reread import Rereader
    from consumers.segment_sync.source import PageSource
    from consumers.segment_sync.transaction import Transactions
    from heapline.heap.segment_record import HeapSegment
    from heapline.kafka.codec import Decoder
    from heapline.kafka.erasure_log import ErasureLog
    from heapline.settings import SegmentSyncSettings

_KEY_TEXTS = 2
_log = logger(__name__)


class _Stopped(Exception):
    """A stop was asked for during a long read; nothing is left to be written."""


@dataclass(slots=True)
class Progress:
    """What was done so far, over all sessions of a run.

    Attributes:
        pages: taken into account, duplicates included.
        changes: membership records written.
    """

    pages: int = 0
    changes: int = 0


class Session:
    """Reads, decides, writes, until it is told to stop or something fails.

    Args:
        source: where pages come from.
        transactions: where changes go.
        rereader: reads topics again where a decision needs it.
        decoder: reads pages.
        load: gives all rows of `heap.segments` as committed by now.
        settings: how transactions are cut.
        progress: counted up.
        stopping: asked often; True ends the session.
        erasures: whose data was erased, and when.
    """

    def __init__(
        self,
        source: PageSource,
        transactions: Transactions,
        rereader: Rereader,
        decoder: Decoder,
        load: Callable[[], dict[Key, HeapSegment]],
        settings: SegmentSyncSettings,
        progress: Progress,
        stopping: Callable[[], bool],
        erasures: ErasureLog | None = None,
    ) -> None:
        self._source = source
        self._transactions = transactions
        self._rereader = rereader
        self._decoder = decoder
        self._load = load
        self._settings = settings
        self._progress = progress
        self._stopping = stopping
        self._erasures = erasures or NoErasures()
        self._rows: dict[Key, HeapSegment] = {}
        self._writes = Writes()

    def run(self, *, until_caught_up: bool) -> None:
        """Work until told to stop, or until everything there at the assignment is applied.

        Raises:
            TryAgainLater: start another session.
            MustStop: do not.
        """
        self._source.subscribe(self)
        try:
            while not self._stopping():
                messages = self._source.read()
                if messages:
                    # First: a user erased since a page was accepted must not come back by it.
                    self._erasures.catch_up()
                for message in messages:
                    if self._source.wants(message):
                        self._take(message)
                self._commit()
                if until_caught_up and self._source.caught_up():
                    return
        except _Stopped:
            return

    def assigned(self, partitions: Collection[int]) -> None:
        """See `Owner.assigned`."""
        self._rows |= of_partitions(self._load(), partitions)

    def given_up(self, partitions: Collection[int]) -> None:
        """See `Owner.given_up`."""
        for key in of_partitions(self._rows, partitions):
            del self._rows[key]

    # --- one page -------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        at = Place(message.partition() or 0, message.offset() or 0)
        key = _key(message)
        if key is None:
            _log.error("a page without a usable key", partition=at.partition, offset=at.offset)
            self._go_on(at, "nameless")
            return
        decision, page = self._decide(message, key, at)
        if isinstance(decision, Late):
            decision = self._decide_late(decision, key)
        if isinstance(decision, Drain):
            self._drain(decision, page, at)
        elif isinstance(decision, Apply):
            self._apply(decision, page, at)
        else:
            self._settle(key, decision, at)

    def _decide(self, message: Message, key: Key, at: Place) -> tuple[Decision, SegmentPage]:
        known = self._rows.get(key)
        try:
            page = SegmentPage.from_record(self._decoder.decode(message.value()))
            _check_key(page, key)
        except UnknownSchema as error:
            # The registry may be behind; a record that stays unknown holds its partition, and says
            # so: to pass over a page would leave its segment wrong in silence.
            raise KafkaUnavailable(f"page {at.partition}/{at.offset}: {error}") from error
        except (Undeliverable, ValueError) as error:
            _log.error("a page cannot be read", place=str(tuple(at)), error=str(error)[:200])
            blank = SegmentPage(*key, Action.REFUSED, 0, _time_ms(message))
            return undecodable(known, blank, at, "undecodable"), blank
        page = self._without_erased(page)
        return decide(known, page, at), page

    def _without_erased(self, page: SegmentPage) -> SegmentPage:
        """Leave out who was erased since the page was accepted; it stays the same page."""
        add = self._erasures.erasures.kept(page.workspace, page.add, page.received_at_ms)
        return page if add is page.add else replace(page, add=add)

    def _decide_late(self, late: Late, key: Key) -> Apply | Aside:
        # The partition may move meanwhile: nothing of it may be left to be committed then.
        self._commit()
        with self._source.paused():
            named = self._rereader.named(late, self._wait)
        self._source.check_ours(late.at)
        return decide_late(self._rows[key], late, named)

    def _apply(self, apply: Apply, page: SegmentPage, at: Place) -> None:
        changes = PageChanges(
            page.workspace,
            page.segment_id,
            page.received_at_ms,
            apply.sync,
            apply.enters,
            apply.leaves,
        )
        if len(changes) > self._settings.changes_at_once:
            self._commit()
            self._in_parts(changes, apply, at)
            return
        together = self._writes.changes + len(changes)
        if self._writes.changes and together > self._settings.changes_per_transaction:
            self._commit()
        self._writes.add(changes)
        self._settle((page.workspace, page.segment_id), apply, at)

    def _drain(self, drain: Drain, page: SegmentPage, at: Place) -> None:
        """Let everybody leave; who that is, is known once all that came before is committed."""
        self._commit()
        key = page.workspace, page.segment_id
        with self._source.paused():
            members = self._rereader.members(*key, self._wait)
        self._source.check_ours(at)
        leaving = PageChanges(*key, page.received_at_ms, drain.sync, (), members)
        self._in_parts(leaving, drain, at)

    def _in_parts(self, changes: PageChanges, decision: Apply | Drain, at: Place) -> None:
        """Write a page in several transactions; the last one has its row, and goes past it.

        Killed in between, the page is read again: what was written is written again, or is not a
        member any more. Every part names the offset as it is, so that the group can refuse a member
        that lost the partition meanwhile.
        """
        *parts, last = parts_of(changes, self._settings.changes_per_transaction)
        for part in parts:
            written = Writes(offsets={at.partition: at.offset})
            written.add(part)
            self._transactions.commit(written, self._source)
            self._progress.changes += written.changes
        self._writes.add(last)
        self._settle((changes.workspace, changes.segment), decision, at)
        self._commit()

    def _settle(self, key: Key, decision: Apply | Aside | Duplicate | Drain, at: Place) -> None:
        self._rows[key] = self._writes.rows[key] = decision.segment
        result = decision.reason if isinstance(decision, Aside) else type(decision).__name__.lower()
        self._go_on(at, result)

    def _go_on(self, at: Place, result: str) -> None:
        self._progress.pages += 1
        self._source.taken(at)
        self._writes.offsets[at.partition] = at.offset + 1
        metrics.SEGMENT_PAGES_APPLIED.labels(result).inc()

    def _commit(self) -> None:
        writes, self._writes = self._writes, Writes()
        if writes:
            self._rows.update(self._transactions.commit(writes, self._source))
            self._progress.changes += writes.changes

    def _wait(self) -> None:
        """What to do now and then during a long read."""
        if self._stopping():
            raise _Stopped
        self._source.keep_alive()


def _key(message: Message) -> Key | None:
    try:
        workspace, segment = read_key(message.key(), _KEY_TEXTS)
    except ValueError:
        return None
    return Workspace(workspace), SegmentId(segment)


def _check_key(page: SegmentPage, key: Key) -> None:
    if (page.workspace, page.segment_id) != key:
        raise ValueError("its key names another segment")


def _time_ms(message: Message) -> int:
    return max(0, message.timestamp()[1])
