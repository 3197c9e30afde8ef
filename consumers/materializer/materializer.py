"""One node's memberships from its start to its end: open, decide where to begin, follow.

What can be mended is: an index that does not fit the store is built from it, and a store that may
lack what happened while nobody read is built anew from the topics, beside the old one, whose
history it takes over. So is an empty one: readers never see memberships that are only half read.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from consumers.materializer.keeping import AnalystCopies, FreeSpace, NoCopies
from consumers.materializer.loop import MaterializerLoop
from consumers.materializer.moves import NoMoves
from consumers.materializer.node import MembershipNode, open_index
from consumers.materializer.progress import log_progress
from consumers.materializer.read_ahead import ReadAhead
from consumers.materializer.readiness import Readiness
from consumers.materializer.source import COMPACTED, READ, Displaced
from consumers.materializer.starting import BuildAnew, GoOn, Kept, decide_start
from consumers.materializer.totals import Totals
from heapline.errors import KafkaUnavailable, MustStop, RegistryUnavailable
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger
from state import rebuild
from state.errors import StoreOutOfStep
from state.replicas import Replicas
from state.store import Store
from state.unwritten_index import UnwrittenIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.materializer.erasing import Erasing
    from consumers.materializer.loop import Node
    from consumers.materializer.loop import Replicas as Copies
    from consumers.materializer.moves import Moves
    from consumers.materializer.progress import Report
    from consumers.materializer.source import Reading, Source
    from consumers.materializer.starting import Log, There, TopicPartition
    from heapline.clock import Clock
    from heapline.kafka.topics import Names
    from heapline.settings import MaterializerSettings
    from state.folder import StateFolder

_RETRY_SECONDS: Final = 1.0
_MENDED_AT_MOST: Final = 5
_log = logger(__name__)


class Materializer:
    """Keeps one state folder; run it once.

    Args:
        source: where records come from.
        folder: the state folder; made where it is missing.
        names: of the topics.
        settings: how often, how much.
        readiness: told how far everything is visible.
        clock: for all of it.
        stopping: asked whether to end.
        on_progress: told now and then how far catching up has come.
        erasing: takes erased users out.
        moves: workspaces that left their environment.
        apart: gives what reads the same records in another process, where there are many.
    """

    def __init__(
        self,
        *,
        source: Source,
        folder: StateFolder,
        names: Names,
        settings: MaterializerSettings,
        readiness: Readiness,
        clock: Clock,
        stopping: Callable[[], bool],
        on_progress: Callable[[Report], None] = log_progress,
        erasing: Erasing | None = None,
        moves: Moves | None = None,
        apart: Callable[[], Reading] | None = None,
    ) -> None:
        self._erasing, self._apart = erasing, apart
        self._moves: Moves = moves or NoMoves()
        self._source, self._folder = source, folder
        self._topics = {what: names.topic(topic) for what, topic in READ.items()}
        self._compacted = {self._topics[what] for what in COMPACTED}
        self._settings, self._readiness, self._clock = settings, readiness, clock
        self._stopping, self._on_progress = stopping, on_progress
        self._totals = Totals()
        self._index_fits = True
        self._store: Store | None = None

    def run(self, *, until_caught_up: bool = False, rebuild_because: str | None = None) -> Totals:
        """Follow the topics until asked to end.

        Args:
            until_caught_up: end once everything that stood in Kafka at the start is visible.
            rebuild_because: build the store anew first, and why.

        Raises:
            KafkaUnavailable: no broker answers at the start, and `until_caught_up` is given.
            NotReady: topics are missing.
            StoreLocked, StoreCorrupt, StoreTooNew, DiskFull, StateUnwritable: see `state.errors`.
        """
        started = self._clock.monotonic()
        self._folder.create()
        try:
            if rebuild_because is None:
                self._opened()
            self._keep_following(rebuild_because, until_caught_up=until_caught_up)
        finally:
            if self._store is not None:
                self._store.close()
        self._totals.seconds = self._clock.monotonic() - started
        return self._totals

    def _keep_following(self, because: str | None, *, until_caught_up: bool) -> None:
        mended = 0
        while True:
            try:
                again = self._follow(because, until_caught_up=until_caught_up)
            except (Displaced, StoreOutOfStep) as error:
                mended += 1
                if mended > _MENDED_AT_MOST:
                    raise
                _log.warning("beginning anew", reason=str(error))
                self._index_fits = not isinstance(error, StoreOutOfStep)
                if self._store is not None:
                    because = None
            else:
                if not again:
                    return
                because = None

    def _follow(self, because: str | None, *, until_caught_up: bool) -> bool:
        """Follow until asked to end, or until users are to be erased: then True."""
        there = self._look(patiently=not until_caught_up)
        if there is None:
            return False
        start = self._decide(there) if because is None else BuildAnew(because)
        if isinstance(start, BuildAnew):
            if not self._build_anew(there, start.why):
                return False
            start = self._decide(there)
        if isinstance(start, BuildAnew):
            raise MustStop(f"{self._folder.store} was built anew in vain: {start.why}")
        for (topic, partition), lost in start.lost.items():
            _log.warning("counts lost to retention", partition=f"{topic}[{partition}]", lost=lost)
            metrics.LOST_TO_RETENTION.labels(topic).inc(lost)
        self._serve(self._opened(), there, start, until_caught_up=until_caught_up)
        return self._must_erase() and not self._stopping()

    def _must_erase(self) -> bool:
        return self._erasing is not None and self._erasing.pending()

    def _serve(self, store: Store, there: There, start: GoOn, *, until_caught_up: bool) -> None:
        """Follow with an open store until asked to end, or until users are to be erased."""
        store.remember_origin(there.cluster_id, dict(there.topic_ids))
        erased = None if self._erasing is None else self._erasing.purge(store)
        with ExitStack() as stack:
            self._moves.news()
            left = self._moves.left_at_ms
            index, built = open_index(self._folder.index, store, left, anew=not self._index_fits)
            self._index_fits = True
            self._totals.index_built |= built
            node = MembershipNode(store, stack.enter_context(index), self._clock, left)
            node.show_again(left)
            if self._erasing is not None and erased is not None:
                self._erasing.settle(node, erased)
            replicas = stack.enter_context(Replicas(self._folder))
            copies = AnalystCopies(replicas, store)
            loop = self._loop(
                node,
                copies,
                self._readiness,
                lambda: self._stopping() or self._must_erase(),
                moves=self._moves,
            )
            loop.run(start.positions, self._ends(there), until_caught_up=until_caught_up)

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._folder, self._clock.epoch_ms())
        return self._store

    def _decide(self, there: There) -> GoOn | BuildAnew:
        store = self._opened()
        origin = store.origin()
        kept = Kept(origin.cluster_id, origin.topic_ids, store.positions(), origin.applied_at_ms)
        something = any(log.end > log.start for log in self._logs(there).values())
        if kept.applied_at_ms is None and something:
            return BuildAnew("nothing is kept yet")
        return decide_start(kept, there, self._clock.epoch_ms())

    def _build_anew(self, there: There, why: str) -> bool:
        """Build the store beside the old one and put it in its place; False where asked to end."""
        _log.warning("building the store from the topics", why=why)
        self._readiness.hold(f"the store is built anew: {why}")
        self._totals.rebuilt = why
        self._close_for_building()
        building = rebuild.begin(self._folder, self._clock.epoch_ms())
        try:
            if self._fill(building, there):
                done = rebuild.finish(building, self._clock.epoch_ms())
                self._store = building
                _log.info("the store is built", **asdict(done))
        finally:
            if self._store is None:
                # What was there before stands as it was.
                building.close()
        return self._store is not None

    def _close_for_building(self) -> None:
        if self._store is None:
            return
        self._store.close()
        if self._store.version == 0:
            # An empty store has no past: what the topic still tells of it is the history.
            self._folder.store.unlink()
        self._store = None

    def _fill(self, building: Store, there: There) -> bool:
        """Read everything into a store that nobody reads yet; False where asked to end."""
        building.remember_origin(there.cluster_id, dict(there.topic_ids))
        reached = Readiness()
        node = MembershipNode(building, UnwrittenIndex(), self._clock)
        positions = {place: log.start for place, log in self._logs(there).items()}
        with ExitStack() as stack:
            reading: Reading = self._source
            if self._apart is not None and self._are_many(there):
                reading = stack.enter_context(closing(self._apart()))
            ahead = stack.enter_context(closing(ReadAhead(reading)))
            loop = self._loop(node, NoCopies(), reached, self._stopping, ahead)
            loop.run(positions, self._ends(there), until_caught_up=True, whole_pages=False)
        return reached.reached

    def _are_many(self, there: There) -> bool:
        """Tell whether reading takes longer than to start a process for it."""
        records = sum(log.end - log.start for log in self._logs(there).values())
        return records >= self._settings.read_apart_records

    def _loop(
        self,
        node: Node,
        copies: Copies,
        readiness: Readiness,
        stopping: Callable[[], bool],
        source: Reading | None = None,
        moves: Moves | None = None,
    ) -> MaterializerLoop:
        return MaterializerLoop(
            source=source or self._source,
            node=node,
            replicas=copies,
            disk=FreeSpace(self._folder.path, self._settings.low_disk_bytes),
            moves=moves or NoMoves(),
            readiness=readiness,
            topics=self._topics,
            settings=self._settings,
            clock=self._clock,
            stopping=stopping,
            totals=self._totals,
            on_progress=self._on_progress,
        )

    def _look(self, *, patiently: bool) -> There | None:
        """Ask the brokers; None where asked to end meanwhile."""
        while not self._stopping():
            try:
                there = self._source.there()
                if self._erasing is not None:
                    self._erasing.read()
            except (KafkaUnavailable, RegistryUnavailable) as error:
                if not patiently:
                    raise
                self._readiness.hold(str(error))
                _log.warning("waiting for Kafka", error=str(error))
                self._clock.sleep(_RETRY_SECONDS)
            else:
                return there
        return None

    def _logs(self, there: There) -> dict[TopicPartition, Log]:
        """Give the partitions of the compacted topics: what is lacking there is wrong answers."""
        return {place: log for place, log in there.logs.items() if place[0] in self._compacted}

    def _ends(self, there: There) -> dict[TopicPartition, int]:
        return {place: log.end for place, log in self._logs(there).items()}
