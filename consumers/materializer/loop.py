"""The loop: read, assemble, apply, keep up; between two payloads it does its chores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from consumers.materializer.assembler import Assembler, Bounds
from consumers.materializer.parts import ChangesRead, EndRead, RowRead
from consumers.materializer.progress import Progress, log_progress
from consumers.materializer.upkeep import Chore, Habits, Look, Upkeep
from heapline.errors import RegistryUnavailable
from heapline.telemetry import metrics
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from consumers.materializer.assembler import Assembled, Place
    from consumers.materializer.moves import Moves
    from consumers.materializer.parts import Part
    from consumers.materializer.progress import Report
    from consumers.materializer.readiness import Readiness
    from consumers.materializer.segment_rows import VisibleRow
    from consumers.materializer.source import Reading
    from consumers.materializer.starting import TopicPartition
    from consumers.materializer.totals import Totals
    from heapline.clock import Clock
    from heapline.settings import MaterializerSettings
    from state.payload import OutcomeFacts

_WAIT_SECONDS: Final = 0.1
_CATCHING_UP: Final = 10, 2.0
"""So much larger are payloads while old records are read, and so long may they wait to become so:
each costs a transaction."""
_BUILDING: Final = 50, 30.0
"""The same where nobody looks yet."""
_RETRY_SECONDS: Final = 0.5
_log = logger(__name__)


class Node(Protocol):
    """Store and index, moved together."""

    @property
    def version(self) -> int:
        """The store's."""
        ...

    @property
    def log_bytes(self) -> int:
        """How much of the store stands in its log only."""
        ...

    def apply(
        self, cut: Assembled[VisibleRow, OutcomeFacts], positions: Mapping[TopicPartition, int]
    ) -> int:
        """Commit and show a payload; give how many changes were effective."""
        ...

    def checkpoint(self) -> None:
        """Fold the store's log into its file."""
        ...

    def show_again(self, workspaces: Collection[str]) -> None:
        """Show the segments of environments that were left for what they are."""
        ...


class Replicas(Protocol):
    """Makes copies for analysts, beside the loop."""

    @property
    def copying(self) -> bool:
        """Whether one is being made; notices when it has ended."""
        ...

    def begin(self) -> None:
        """Begin to make one; the store must not be folded meanwhile."""
        ...


class Disk(Protocol):
    """Looks at the disk of the state folder."""

    def look(self, now: float) -> None:
        """Warn where space becomes short; cheap, called often."""
        ...


class MaterializerLoop:
    """Decides nothing: the assembler cuts payloads, the upkeep knows the chores.

    Args:
        source: opened by `run`.
        node: where payloads go.
        replicas: copies for analysts.
        disk: its space.
        moves: workspaces that left their environment.
        readiness: told how far everything is visible.
        topics: the full name of what the assembler knows by role.
        settings: how often, how much.
        clock: for all of it.
        stopping: asked whether to end.
        totals: added to.
        on_progress: told now and then how far catching up has come.
    """

    def __init__(
        self,
        *,
        source: Reading,
        node: Node,
        replicas: Replicas,
        disk: Disk,
        moves: Moves,
        readiness: Readiness,
        topics: Mapping[str, str],
        settings: MaterializerSettings,
        clock: Clock,
        stopping: Callable[[], bool],
        totals: Totals,
        on_progress: Callable[[Report], None] = log_progress,
    ) -> None:
        self._source, self._node, self._replicas, self._disk = source, node, replicas, disk
        self._readiness, self._moves = readiness, moves
        self._topics = dict(topics)
        self._whats = {topic: what for what, topic in topics.items()}
        self._clock = clock
        self._stopping = stopping
        self._totals, self._on_progress = totals, on_progress
        self._bounds = Bounds(
            settings.payload_changes, settings.linger_seconds, settings.open_page_records
        )
        self._upkeep = Upkeep(
            Habits(
                settings.checkpoint_seconds, settings.checkpoint_log_bytes, settings.replica_seconds
            ),
            clock.monotonic(),
            node.version,
        )
        self._written: dict[TopicPartition, int] = {}
        self._has_applied = False

    def run(
        self,
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        *,
        until_caught_up: bool = False,
        whole_pages: bool = True,
    ) -> None:
        """Read from the positions on, until asked to end.

        Args:
            positions: for each partition where to read on.
            ends: what readiness waits for.
            until_caught_up: end once everything up to `ends` is visible.
            whole_pages: show no page in part; somebody looks.

        Raises:
            Displaced: the log no longer holds what comes next.
            HeaplineError: from the source, the store or the index; what was committed stands.
        """
        self._assembler: Assembler[VisibleRow, OutcomeFacts] = Assembler(
            {(self._whats[topic], number): at for (topic, number), at in positions.items()},
            self._larger(_CATCHING_UP if whole_pages else _BUILDING),
        )
        self._written, self._has_applied = dict(positions), False
        self._source.open(positions, whole_pages=whole_pages)
        self._readiness.aim(positions, ends)
        self._progress = Progress(self._clock.monotonic(), self._readiness.left)
        self._is_behind = True
        self._look_up()
        while not self._stopping() and not (until_caught_up and not self._is_behind):
            self._step()
        self._finish()

    def _larger(self, catching_up: tuple[int, float]) -> Bounds:
        times, seconds = catching_up
        return replace(
            self._bounds, changes=self._bounds.changes * times, linger_seconds=seconds, times=1
        )

    def _step(self) -> None:
        came = self._read()
        now = self._clock.monotonic()
        if self._assembler.due(now, drained=not came):
            self._apply(self._assembler.cut())
        if self._is_behind:
            self._tell_progress(now)
            self._look_up()
        self._chores(idle=not came)
        if moved := self._moves.news():
            self._node.show_again(moved)

    def _look_up(self) -> None:
        """Go over to small payloads once what was there at the start is visible."""
        if self._readiness.reached:
            self._is_behind = False
            self._assembler.bounds = self._bounds
            if not self._has_applied:
                # Nothing was missed, and that is worth writing down: see `starting`.
                self._apply(self._assembler.cut(), even_if_empty=True)
            _log.info("caught up", records=self._totals.records, changes=self._totals.changes)

    def _read(self) -> bool:
        """Read once; tell whether records came."""
        try:
            at_once = self._assembler.has_news and not self._is_behind
            parts = self._source.read(0.0 if at_once else _WAIT_SECONDS)
        except RegistryUnavailable as error:
            _log.warning("waiting", error=str(error))
            self._clock.sleep(_RETRY_SECONDS)
            return False
        now = self._clock.monotonic()
        for part in parts:
            self._take(part, now)
        return any(not isinstance(part, EndRead) for part in parts)

    def _take(self, part: Part, now: float) -> None:
        if isinstance(part, ChangesRead):
            self._assembler.take_changes(part.partition, part.run, now)
        elif isinstance(part, RowRead):
            self._assembler.take_row(part.partition, part.offset, part.row, now)
        elif isinstance(part, EndRead):
            self._assembler.at_end(part.what, part.partition, part.offset, now)
        else:
            self._assembler.take_outcomes(part.partition, part.offset, part.outcomes, now)

    def _apply(
        self, cut: Assembled[VisibleRow, OutcomeFacts], *, even_if_empty: bool = False
    ) -> None:
        positions = self._named(cut.positions)
        if cut or even_if_empty:
            changed = self._node.apply(cut, positions)
            self._written, self._has_applied = positions, True
            self._upkeep.applied(self._clock.monotonic())
            self._count(cut, changed)
        self._readiness.visible(positions)

    def _count(self, cut: Assembled[VisibleRow, OutcomeFacts], changed: int) -> None:
        self._totals.payloads += 1
        self._totals.records += len(cut.changes)
        self._totals.changes += changed
        self._totals.rows += len(cut.rows)
        self._totals.outcomes += len(cut.outcomes)
        metrics.MATERIALIZED_CHANGES.inc(changed)
        metrics.MATERIALIZED_RECORDS.labels("membership").inc(len(cut.changes))
        metrics.MATERIALIZED_RECORDS.labels("segment").inc(len(cut.rows))
        metrics.MATERIALIZED_RECORDS.labels("outcome").inc(len(cut.outcomes))

    def _tell_progress(self, now: float) -> None:
        self._readiness.visible(self._named(self._assembler.positions()))
        report = self._progress.report(now, self._readiness.left, self._totals.records)
        metrics.MATERIALIZER_BEHIND.set(self._readiness.left)
        if report is not None:
            self._on_progress(report)

    def _chores(self, *, idle: bool) -> None:
        now = self._clock.monotonic()
        self._disk.look(now)
        idle = idle and not self._assembler.has_news
        look = Look(now, idle, self._node.version, self._node.log_bytes, self._replicas.copying)
        chore = self._upkeep.due(look)
        if chore is Chore.CHECKPOINT:
            self._node.checkpoint()
            self._upkeep.checkpointed(self._clock.monotonic(), self._node.version)
        elif chore is Chore.REPLICATE:
            self._replicas.begin()
            self._upkeep.replicated(now, self._node.version)
        elif chore is Chore.SIGN_OF_LIFE:
            self._apply(self._assembler.cut(), even_if_empty=True)

    def _finish(self) -> None:
        """Apply what is whole; the positions too, so that a later start knows what was missed."""
        cut = self._assembler.cut()
        moved = self._named(cut.positions) != self._written
        self._apply(cut, even_if_empty=moved)

    def _named(self, positions: Mapping[Place, int]) -> dict[TopicPartition, int]:
        return {(self._topics[what], number): at for (what, number), at in positions.items()}
