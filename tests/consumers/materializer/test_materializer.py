"""One node from start to end on a real state folder, with topics that are made up."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.assembler import MEMBERSHIPS, SEGMENTS
from consumers.materializer.materializer import Materializer
from consumers.materializer.moves import ConnectionMoves
from consumers.materializer.pages import Run
from consumers.materializer.parts import ChangesRead, EndRead, RowRead
from consumers.materializer.readiness import Readiness
from consumers.materializer.segment_rows import VisibleRow
from consumers.materializer.source import Displaced
from consumers.materializer.starting import Log, There
from heapline.errors import KafkaUnavailable
from heapline.heap.connection import Connection
from heapline.kafka.topics import MEMBERSHIPS as MEMBERSHIPS_TOPIC
from heapline.kafka.topics import OUTCOME_COUNTS, Names
from heapline.kafka.topics import SEGMENTS as SEGMENTS_TOPIC
from heapline.memberships import IndexUnavailable, MembershipReader
from heapline.memberships.container import VERSION
from heapline.settings import MaterializerSettings
from heapline.words import Workspace
from state.errors import StoreOutOfStep
from state.folder import StateFolder
from state.index_writer import IndexWriter
from state.payload import SegmentFacts
from state.raw_changes import RawChanges
from state.store import Store
from tests.consumers.materializer.looking import by_index, by_store
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.materializing import FakeSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumers.materializer.parts import Part
    from consumers.materializer.source import Reading
    from consumers.materializer.totals import Totals

M, S, COUNTS = ((topic.name, 0) for topic in (MEMBERSHIPS_TOPIC, SEGMENTS_TOPIC, OUTCOME_COUNTS))


def brokers(members: int, cluster: str = "one") -> There:
    """Give brokers whose memberships topic holds so many records."""
    return There(
        cluster,
        {name: f"{cluster}-{name}" for name, _ in (M, S, COUNTS)},
        {M: Log(0, members), S: Log(0, 0), COUNTS: Log(0, 0)},
        {M[0], S[0]},
        tombstones_kept_ms=7 * 86_400_000,
    )


def topic(*users: str) -> list[Part]:
    """Give the memberships topic: these users entered one segment, in a page each."""
    count = len(users)
    columns = RawChanges.of(("acme", user, "s1", True, 9, None) for user in users)
    ends = [(n + 1, n + 1) for n in range(count)]
    return [
        ChangesRead(0, Run(columns, ends, count)),
        EndRead(MEMBERSHIPS, 0, count),
        EndRead(SEGMENTS, 0, 0),
    ]


@dataclass
class Node:
    """A state folder and what is read into it."""

    state: Path

    def __post_init__(self) -> None:
        self.connections = FakeConnections()
        self.clock = FakeClock()
        self.source = FakeSource(self.clock)

    def catch_up(self, there: There, *batches: list[Part] | Exception) -> Totals:
        """Materialize until everything there is visible."""
        self.source.has = there
        self.source.batches.extend(batches)
        return self.run()

    def run(self, apart: Callable[[], Reading] | None = None, many: int = 1) -> Totals:
        """Materialize what the source has; read apart from so many records on."""
        return Materializer(
            source=self.source,
            folder=StateFolder(self.state),
            names=Names(),
            settings=MaterializerSettings(read_apart_records=many),
            readiness=Readiness(),
            clock=self.clock,
            stopping=lambda: False,
            moves=ConnectionMoves(self.connections),
            apart=apart,
        ).run(until_caught_up=True)

    def check(self, *users: str) -> None:
        """Assert that these users are in, by store and index."""
        expected = {("acme", "s1"): set(users)}
        assert by_store(self.state) == by_index(self.state) == expected


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Give a node that holds two memberships of cluster one."""
    there = Node(tmp_path / "state")
    there.catch_up(brokers(2), topic("ada", "bob"))
    there.check("ada", "bob")
    return there


def test_a_log_that_is_cut_during_a_rebuild_costs_no_history(node: Node) -> None:
    """The rebuild begins again, and the old store is still there to take its past from."""
    anew = brokers(2, cluster="two")
    totals = node.catch_up(anew, Displaced("cut"), topic("bob", "eve"))
    assert totals.rebuilt is not None
    assert "cluster one" in totals.rebuilt
    node.check("bob", "eve")
    with Store(StateFolder(node.state), 0) as store:
        left = "SELECT user_id FROM membership_history WHERE left_at IS NOT NULL"
        assert store.database.run(left).rows == [("ada",)]


def test_a_log_that_is_cut_while_following_is_decided_on_anew(node: Node) -> None:
    """What the brokers have is asked again; then it goes on."""
    node.catch_up(brokers(3), Displaced("cut"), topic("ada", "bob", "eve"))
    node.check("ada", "bob", "eve")


def test_a_rebuild_that_fails_leaves_the_old_store(node: Node) -> None:
    """It answers as before, and the next start tries again."""
    anew = brokers(2, cluster="two")
    with pytest.raises(KafkaUnavailable):
        node.catch_up(anew, KafkaUnavailable("down"))
    node.check("ada", "bob")
    node.catch_up(anew, topic("bob", "eve"))
    node.check("bob", "eve")


@pytest.mark.parametrize(("many", "is_apart"), [(2, True), (3, False)])
def test_much_is_read_apart_while_a_store_is_built(
    tmp_path: Path, many: int, *, is_apart: bool
) -> None:
    """By another process; from then on, and where little is there, by this one."""
    node = Node(tmp_path / "state")
    node.source.has = brokers(2)
    other = FakeSource(node.clock)
    (other if is_apart else node.source).batches.append(topic("ada", "bob"))
    node.run(lambda: other, many)
    node.check("ada", "bob")
    assert [whole_pages for _, whole_pages in other.opened] == [False] * is_apart
    assert node.source.opened[-1][1]


def test_an_index_that_disagrees_is_built_anew(node: Node) -> None:
    """It claims the store's version and knows nobody: that is noticed before anything is added."""
    with Store(StateFolder(node.state), 0) as store:
        version = store.version
    IndexWriter.build(StateFolder(node.state).index, version=version).close()
    totals = node.catch_up(brokers(3), topic("ada", "bob", "eve"))
    assert totals.index_built
    node.check("ada", "bob", "eve")


def test_an_index_of_an_older_version_is_built_anew(node: Node) -> None:
    """Whatever its files hold, and though the store is the one it was made from."""
    node.catch_up(brokers(3), topic("ada", "bob", "eve"))
    folder = StateFolder(node.state).index
    for path in folder.glob("*.index"):
        written = bytearray(path.read_bytes())
        written[8:12] = (VERSION - 1).to_bytes(4, "little")
        written[28:32] = zlib.crc32(written[:28]).to_bytes(4, "little")
        path.write_bytes(written)
    with pytest.raises(IndexUnavailable, match=f"is of version {VERSION - 1}"):
        MembershipReader(folder)
    assert node.catch_up(brokers(3)).index_built
    node.check("ada", "bob", "eve")


def test_what_cannot_be_mended_is_raised(node: Node) -> None:
    """Not tried for ever."""
    with pytest.raises(StoreOutOfStep):
        node.catch_up(replace(brokers(3)), *(StoreOutOfStep(node.state, "again") for _ in range(9)))


def test_segments_of_an_environment_that_was_left_are_disconnected(node: Node) -> None:
    """From the move until the drain is applied; a restart in between does not forget it."""
    heard = RowRead(0, 0, segment_row(at_ms=5))
    node.catch_up(
        replace(brokers(2), logs={M: Log(0, 2), S: Log(0, 1), COUNTS: Log(0, 0)}), [heard]
    )
    reader = MembershipReader(StateFolder(node.state).index)
    assert reader.check("acme", [("ada", "s1")]) == [True]
    node.connections.put(Connection(Workspace("acme"), moved_at_ms=7))
    for _ in range(2):
        node.catch_up(replace(brokers(2), logs={M: Log(0, 2), S: Log(0, 1), COUNTS: Log(0, 0)}))
        assert reader.check("acme", [("ada", "s1")]) == [None]
    drain: list[Part] = [
        ChangesRead(0, Run(RawChanges.of(LEAVING), [(2, 4)], 4)),
        RowRead(0, 1, segment_row(at_ms=8, status="drained", offset=1, memberships_offset=3)),
        EndRead(MEMBERSHIPS, 0, 4),
        EndRead(SEGMENTS, 0, 2),
    ]
    node.catch_up(replace(brokers(4), logs={M: Log(0, 4), S: Log(0, 2), COUNTS: Log(0, 0)}), drain)
    assert reader.check("acme", [("ada", "s1")]) == [False]
    assert not reader.segment("acme", "s1").disconnected


LEAVING = [("acme", user, "s1", False, 8, None) for user in ("ada", "bob")]


def segment_row(
    at_ms: int, status: str = "complete", offset: int = 0, memberships_offset: int = 1
) -> VisibleRow:
    """Give what `heap.segments` says of the one segment."""
    facts = SegmentFacts(
        workspace="acme",
        segment_id="s1",
        name="",
        status=status,
        rhythm="unknown",
        has_gap=False,
        updated_at_ms=at_ms,
        pages_partition=0,
        pages_offset=offset,
    )
    return VisibleRow(facts, 0, memberships_offset)
