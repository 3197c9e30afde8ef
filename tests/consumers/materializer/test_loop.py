"""The loop in virtual time: what it reads it applies, and its chores come between payloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.assembler import MEMBERSHIPS, OUTCOMES, SEGMENTS
from consumers.materializer.loop import MaterializerLoop
from consumers.materializer.moves import ConnectionMoves
from consumers.materializer.pages import Run
from consumers.materializer.parts import ChangesRead, EndRead, RowRead
from consumers.materializer.progress import Progress, Report
from consumers.materializer.readiness import Readiness
from consumers.materializer.segment_rows import VisibleRow
from consumers.materializer.source import Displaced
from consumers.materializer.totals import Totals
from heapline.errors import RegistryUnavailable, TryAgainLater
from heapline.heap.connection import Connection
from heapline.settings import MaterializerSettings
from heapline.words import Workspace
from state.payload import SegmentFacts
from state.raw_changes import RawChanges
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.materializing import FakeCopies, FakeDisk, FakeNode, FakeSource

if TYPE_CHECKING:
    from consumers.materializer.parts import Part

TOPICS = {MEMBERSHIPS: "m", SEGMENTS: "s", OUTCOMES: "o"}
START = {("m", 0): 0, ("s", 0): 0, ("o", 0): 0}


@dataclass
class Bench:
    """A loop on fakes.

    Attributes:
        stop_at: when it is asked to end, in seconds of its clock.
        reports: what was told of catching up.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    node: FakeNode = field(default_factory=FakeNode)
    copies: FakeCopies = field(default_factory=FakeCopies)
    readiness: Readiness = field(default_factory=Readiness)
    totals: Totals = field(default_factory=Totals)
    reports: list[Report] = field(default_factory=list)
    stop_at: float = 60.0

    def __post_init__(self) -> None:
        self.connections = FakeConnections()
        self.moves = ConnectionMoves(self.connections)
        self.source = FakeSource(self.clock)
        self._began = self.clock.monotonic()

    def run(self, ends: dict[tuple[str, int], int], *, until_caught_up: bool = False) -> None:
        """Run until asked to end."""
        MaterializerLoop(
            source=self.source,
            node=self.node,
            replicas=self.copies,
            disk=FakeDisk(),
            moves=self.moves,
            readiness=self.readiness,
            topics=TOPICS,
            settings=MaterializerSettings(),
            clock=self.clock,
            stopping=lambda: self.clock.monotonic() - self._began >= self.stop_at,
            totals=self.totals,
            on_progress=self.reports.append,
        ).run(START, ends, until_caught_up=until_caught_up)


def changes(first: int, *users: str, ends: bool = True) -> Part:
    """Give records of these users from an offset on, the last of which ends a page."""
    count = len(users)
    columns = RawChanges.of(("acme", user, "s1", True, 0, None) for user in users)
    after = first + count
    return ChangesRead(0, Run(columns, [(count, after)] if ends else [], after))


def row(offset: int, memberships_offset: int) -> Part:
    """Give a segment's row."""
    facts = SegmentFacts(
        "acme",
        "s1",
        "",
        "complete",
        "unknown",
        has_gap=False,
        updated_at_ms=0,
        pages_partition=0,
        pages_offset=offset,
    )
    return RowRead(0, offset, VisibleRow(facts, 0, memberships_offset))


def test_it_ends_once_everything_is_visible() -> None:
    """Offsets have holes: the ends of partitions count, and the row comes with its members."""
    bench = Bench()
    bench.source.batches.extend(
        [
            [row(0, 1), changes(0, "ada", "bob")],
            [EndRead(MEMBERSHIPS, 0, 4), EndRead(SEGMENTS, 0, 2)],
        ]
    )
    bench.run({("m", 0): 4, ("s", 0): 2}, until_caught_up=True)
    assert bench.readiness.reached
    assert bench.node.applied[0][:2] == (["ada", "bob"], ["s1"])
    assert bench.node.applied[-1][2] == {("m", 0): 4, ("s", 0): 2, ("o", 0): 0}
    assert (bench.totals.changes, bench.totals.rows) == (2, 1)


def test_it_is_not_ready_before() -> None:
    """What is read and not applied is not visible; the message tells how much is left."""
    bench = Bench(stop_at=1.0)
    bench.source.batches.append([changes(0, "ada", ends=False)])
    bench.run({("m", 0): 4})
    assert not bench.readiness.reached
    with pytest.raises(TryAgainLater, match="4 of 4 offsets"):
        bench.readiness.check()


def test_an_orderly_end_leaves_open_pages_for_the_next_start() -> None:
    """Positions are where the open page begins."""
    bench = Bench(stop_at=0.5)
    bench.source.batches.append([changes(0, "ada"), changes(1, "bob", ends=False)])
    bench.run({})
    assert [users for users, _, _ in bench.node.applied if users] == [["ada"]]
    assert bench.node.applied[-1][2]["m", 0] == 1


def test_a_registry_that_is_down_is_waited_for() -> None:
    """Nothing is passed over meanwhile."""
    bench = Bench()
    down = RegistryUnavailable("down")
    bench.source.batches.extend([down, down, [changes(0, "ada")], [EndRead(MEMBERSHIPS, 0, 1)]])
    bench.run({("m", 0): 1}, until_caught_up=True)
    assert bench.node.applied[0][0] == ["ada"]


def test_a_log_that_was_cut_ends_the_loop() -> None:
    """Where to go on is decided by whoever started it."""
    bench = Bench()
    bench.source.batches.append(Displaced("gone"))
    with pytest.raises(Displaced):
        bench.run({("m", 0): 1})


def test_chores_come_between_payloads() -> None:
    """A copy follows a checkpoint, and the file is left alone while it is made."""
    bench = Bench(stop_at=20.0, copies=FakeCopies(takes=100))
    bench.source.batches.extend([[], [changes(0, "ada")]])
    bench.run({})
    assert bench.copies.made == 2, "the old state at the start, and the new one"
    assert bench.node.checkpoints == [1, 2]


def test_a_move_to_another_environment_is_shown_once() -> None:
    """Each time; a connection that never moved is none."""
    bench = Bench(stop_at=1.0)
    for workspace, at_ms in (("acme", 7), ("umbrella", None)):
        bench.connections.put(Connection(Workspace(workspace), moved_at_ms=at_ms))
    bench.run({})
    assert bench.node.shown_again == [{"acme"}]
    assert bench.moves.left_at_ms == {"acme": 7}
    bench.connections.put(Connection(Workspace("acme"), version=2, moved_at_ms=7))
    bench.connections.put(Connection(Workspace("umbrella"), moved_at_ms=9))
    assert bench.moves.news() == {"umbrella"}


def test_an_idle_node_gives_signs_of_life() -> None:
    """Positions are written now and then, so that it does not look as if it had been away."""
    bench = Bench(stop_at=1_500.0)
    bench.run({})
    assert len(bench.node.applied) == 3, "at the start, and every ten minutes"


def test_progress_is_told_with_the_time_left() -> None:
    """Every two seconds; nothing more than once."""
    progress = Progress(0.0, whole=100)
    assert progress.report(1.9, left=100, records=0) is None
    assert progress.report(2.0, left=100, records=0) == Report(0.0, 0, None)
    assert progress.report(3.9, left=50, records=50) is None
    assert progress.report(4.0, left=50, records=60) == Report(50.0, 15, 4.0)
