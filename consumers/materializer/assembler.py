"""What was read, put together to payloads: whole pages, and segment rows once they are true.

A page's records end with a record that says so, and the segment's row names the last of them. The
rows stand in another topic and may be read before or after: a row waits here until everything it
stands on is given out with it or before it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from consumers.materializer.pages import PartitionPages
from state.raw_changes import RawChanges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.materializer.pages import Run

MEMBERSHIPS: Final = "memberships"
SEGMENTS: Final = "segments"
OUTCOMES: Final = "outcomes"
"""What is read, named by role: topics carry a prefix."""

Place = tuple[str, int]
"""What is read, and its partition."""


class Row(Protocol):
    """What the assembler knows of a segment's row."""

    @property
    def key(self) -> tuple[str, str]:
        """Workspace and segment id."""
        ...

    @property
    def memberships_partition(self) -> int:
        """Where the workspace's memberships lie."""
        ...

    @property
    def memberships_offset(self) -> int:
        """True once everything up to and including this offset is applied."""
        ...


RowT = TypeVar("RowT", bound=Row)
OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How payloads are cut.

    Attributes:
        changes: a payload takes pages until it has so many records.
        linger_seconds: how long something whole waits for more, while more keeps coming.
        open_page_records: longer pages are applied in parts; see `PartitionPages`.
        times: so much larger payloads become, and so much longer they may wait, while what comes
            fills them: each costs a transaction, and what waits behind one waits longer.
    """

    changes: int = 20_000
    linger_seconds: float = 0.1
    open_page_records: int = 2_000_000
    times: int = 8


@dataclass(slots=True)
class Assembled(Generic[RowT, OutcomeT]):
    """What belongs into one transaction.

    Attributes:
        changes: memberships, in the order of each partition.
        rows: segment rows, the newest of each segment.
        outcomes: outcome counts, each given once.
        positions: for each partition where to go on after a restart.
    """

    changes: RawChanges = field(default_factory=RawChanges)
    rows: list[RowT] = field(default_factory=list)
    outcomes: list[OutcomeT] = field(default_factory=list)
    positions: dict[Place, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(len(self.changes) or self.rows or self.outcomes)


class Assembler(Generic[RowT, OutcomeT]):
    """Pure state between reading and applying.

    Args:
        positions: for each partition that is read, where reading begins.
        bounds: how payloads are cut.
    """

    def __init__(self, positions: Mapping[Place, int], bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        most = self.bounds.open_page_records
        self._pages = {
            partition: PartitionPages(offset, most)
            for (what, partition), offset in positions.items()
            if what == MEMBERSHIPS
        }
        self._next = {place: at for place, at in positions.items() if place[0] != MEMBERSHIPS}
        self._rows: dict[int, deque[tuple[int, RowT]]] = {
            partition: deque() for what, partition in positions if what == SEGMENTS
        }
        self._outcomes: list[OutcomeT] = []
        self._since: float | None = None
        self._turn = 0
        self._times = 1

    @property
    def held(self) -> int:
        """How many records are in memory."""
        rows = sum(map(len, self._rows.values()))
        return sum(pages.held for pages in self._pages.values()) + rows + len(self._outcomes)

    @property
    def has_news(self) -> bool:
        """Whether something came since the last cut that may be given out."""
        return self._since is not None

    @property
    def held_rows(self) -> int:
        """How many segment rows wait for their members."""
        return sum(map(len, self._rows.values()))

    @property
    def cut_open(self) -> int:
        """How often a page was too long to be applied at once."""
        return sum(pages.cut_open for pages in self._pages.values())

    @property
    def whole(self) -> int:
        """How many membership records could be applied now."""
        return sum(pages.whole for pages in self._pages.values())

    def take_changes(self, partition: int, run: Run, now: float) -> None:
        """Take membership records, in the order of their partition."""
        self._pages[partition].take(run)
        self._note(now)

    def take_row(self, partition: int, offset: int, row: RowT | None, now: float) -> None:
        """Take a segment's row; None for a record that is none."""
        if row is not None:
            self._rows[partition].append((offset, row))
        self._move(SEGMENTS, partition, offset + 1)
        self._note(now)

    def take_outcomes(
        self, partition: int, offset: int, outcomes: list[OutcomeT], now: float
    ) -> None:
        """Take the counts of one record."""
        self._outcomes += outcomes
        self._move(OUTCOMES, partition, offset + 1)
        self._note(now)

    def at_end(self, what: str, partition: int, offset: int, now: float) -> None:
        """Note that everything committed before this offset was read."""
        if what == MEMBERSHIPS:
            self._pages[partition].at_end(offset)
            self._note(now)
        else:
            self._move(what, partition, offset)

    def due(self, now: float, *, drained: bool) -> bool:
        """Tell whether a payload is to be cut.

        Args:
            now: monotonic seconds.
            drained: nothing more has come at the last look.
        """
        if self._since is None:
            return False
        waited = now - self._since >= self.bounds.linger_seconds * self._times
        return drained or waited or self.whole >= self._room

    def cut(self) -> Assembled[RowT, OutcomeT]:
        """Give out what belongs into the next transaction; maybe nothing but positions."""
        cut: Assembled[RowT, OutcomeT] = Assembled()
        cut.changes = self._whole_pages()
        cut.rows = self._true_rows()
        cut.outcomes, self._outcomes = self._outcomes, []
        cut.positions = self.positions()
        # Half full, it was a close run between filling and waiting.
        full = 2 * len(cut.changes) >= self._room
        self._times = min(2 * self._times, self.bounds.times) if full else 1
        if not self.whole:
            self._since = None
        return cut

    @property
    def _room(self) -> int:
        return self.bounds.changes * self._times

    def _whole_pages(self) -> RawChanges:
        parts: list[RawChanges] = []
        room = self._room
        for partition in self._in_turn():
            if room > 0:
                parts.append(self._pages[partition].give(room))
                room -= len(parts[-1])
        return RawChanges.joined([part for part in parts if len(part)])

    def positions(self) -> dict[Place, int]:
        """Tell for each partition where to go on once all that was given out is applied."""
        found: dict[Place, int] = {
            (MEMBERSHIPS, partition): pages.offset for partition, pages in self._pages.items()
        }
        found |= self._next
        # A row that waits is read again after a restart, and so are those behind it.
        found |= {(SEGMENTS, at): rows[0][0] for at, rows in self._rows.items() if rows}
        return found

    def _true_rows(self) -> list[RowT]:
        newest: dict[tuple[str, str], RowT] = {}
        for partition, rows in self._rows.items():
            waiting: deque[tuple[int, RowT]] = deque()
            behind: set[tuple[str, str]] = set()
            for offset, row in rows:
                if row.key not in behind and self._is_true(row):
                    newest[row.key] = row
                else:
                    behind.add(row.key)
                    waiting.append((offset, row))
            self._rows[partition] = waiting
        return list(newest.values())

    def _is_true(self, row: Row) -> bool:
        pages = self._pages.get(row.memberships_partition)
        return pages is None or pages.offset > row.memberships_offset

    def _in_turn(self) -> list[int]:
        """Begin with another partition each time, so that a busy one starves nobody."""
        order = sorted(self._pages)
        self._turn = (self._turn + 1) % max(1, len(order))
        return order[self._turn :] + order[: self._turn]

    def _move(self, what: str, partition: int, offset: int) -> None:
        self._next[what, partition] = max(self._next.get((what, partition), 0), offset)

    def _note(self, now: float) -> None:
        if self._since is None and (self.whole or self.held_rows or self._outcomes):
            self._since = now
