"""Payloads are whole pages, and rows that are true, whatever the order of reading and restarts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from consumers.materializer.assembler import (
    MEMBERSHIPS,
    OUTCOMES,
    SEGMENTS,
    Assembled,
    Assembler,
    Bounds,
    Place,
)
from consumers.materializer.pages import Run
from heapline.heap.membership_record import PAGE_END
from heapline.heap.segment_record import HeapSegment, SegmentStatus
from heapline.words import SegmentId, UserId, Workspace
from operations.forget import leaves
from state.raw_changes import RawChanges

Payload = Assembled["Row", str]
Machine = Assembler["Row", str]


@dataclass(frozen=True)
class Row:
    """A segment's row: the how-manieth it is, and where it becomes true."""

    key: tuple[str, str]
    memberships_partition: int
    memberships_offset: int
    number: int = 0


@dataclass
class Log:
    """One partition: offsets with something in them, in order, and the end of what is committed."""

    records: list[tuple[int, object]] = field(default_factory=list)
    end: int = 0

    def add(self, record: object) -> int:
        """Write a record; give its offset."""
        self.records.append((self.end, record))
        self.end += 1
        return self.end - 1


@dataclass(frozen=True)
class Member:
    """A membership record, known by its number; `ends_page` as in its header."""

    number: int
    page: int
    ends_page: bool


def columns(*users: str) -> RawChanges:
    """Give records of these users, all entering one segment."""
    return RawChanges.of(("acme", user, "s", True, 0, None) for user in users)


def run_of(records: list[tuple[int, Member]]) -> Run:
    """Give a run as the decoder would."""
    ends = [(n + 1, at + 1) for n, (at, record) in enumerate(records) if record.ends_page]
    return Run(columns(*(str(each.number) for _, each in records)), ends, records[-1][0] + 1)


def machine(
    positions: dict[Place, int] | None = None, bounds: Bounds | None = None, partitions: int = 1
) -> Machine:
    """Give an assembler of so many partitions of each topic, from the beginning unless said."""
    whats = (MEMBERSHIPS, SEGMENTS, OUTCOMES)
    start: dict[Place, int] = {(what, n): 0 for what in whats for n in range(partitions)}
    return Assembler(start | (positions or {}), bounds)


def test_a_page_waits_for_its_end() -> None:
    """Records without the record that ends their page are not given out, nor passed."""
    there = machine()
    there.take_changes(0, Run(columns("a", "b", "c"), [(2, 2)], 3), now=0.0)
    first = there.cut()
    assert first.changes.user.texts() == ["a", "b"]
    assert first.positions[MEMBERSHIPS, 0] == 2
    there.take_changes(0, Run(columns("d"), [(1, 4)], 4), now=0.0)
    second = there.cut()
    assert second.changes.user.texts() == ["c", "d"]
    assert second.positions[MEMBERSHIPS, 0] == 4


def test_an_erasure_within_a_page_does_not_show_half_of_it() -> None:
    """Its records end no page, and so come with the page between whose records they lie."""
    segment = HeapSegment(
        workspace=Workspace("acme"),
        segment_id=SegmentId("s"),
        updated_at_ms=1,
        pages_partition=0,
        pages_offset=0,
        status=SegmentStatus.SYNCING,
        memberships_offset=0,
    )
    (leaving,) = leaves(Workspace("acme"), UserId("b"), [segment], 5)
    headers = [name for name, _ in leaving.headers()]
    ends = [(2, 2)] if PAGE_END in headers else []
    there = machine()
    there.take_changes(0, Run(columns("a", "b"), ends, 2), now=0.0)
    assert not there.cut()
    there.take_changes(0, Run(columns("c"), [(1, 3)], 3), now=0.0)
    assert there.cut().changes.user.texts() == ["a", "b", "c"]


def test_the_end_of_the_partition_ends_a_page() -> None:
    """Compaction may take the record that ended a page; what is committed to the end is whole."""
    there = machine()
    there.take_changes(0, Run(columns("a"), [], 1), now=0.0)
    assert not there.cut()
    there.at_end(MEMBERSHIPS, 0, 7, now=0.0)
    cut = there.cut()
    assert cut.changes.user.texts() == ["a"]
    assert cut.positions[MEMBERSHIPS, 0] == 7


def test_offsets_without_records_are_passed_at_the_end() -> None:
    """Markers and aborted records leave holes: the position is the end, not last record + 1."""
    there = machine()
    there.take_changes(0, Run(columns("a"), [(1, 1)], 1), now=0.0)
    there.at_end(MEMBERSHIPS, 0, 4, now=0.0)
    assert there.cut().positions[MEMBERSHIPS, 0] == 4
    there.at_end(MEMBERSHIPS, 0, 9, now=0.0)
    assert there.positions()[MEMBERSHIPS, 0] == 9


def test_a_row_waits_until_its_members_are_given_out() -> None:
    """A row read before its members stays here, and a restart would read it again."""
    there = machine()
    row = Row(("acme", "s"), 0, memberships_offset=1)
    there.take_row(0, 5, row, now=0.0)
    there.take_changes(0, Run(columns("a"), [(1, 1)], 1), now=0.0)
    first = there.cut()
    assert first.rows == []
    assert first.positions[SEGMENTS, 0] == 5
    there.take_changes(0, Run(columns("b"), [(1, 2)], 2), now=0.0)
    second = there.cut()
    assert second.changes.user.texts() == ["b"]
    assert second.rows == [row]
    assert second.positions[SEGMENTS, 0] == 6


def test_a_row_whose_last_member_was_compacted_away_becomes_true() -> None:
    """The named offset may hold nothing any more: passing it is what counts."""
    there = machine()
    row = Row(("acme", "s"), 0, memberships_offset=8)
    there.take_row(0, 0, row, now=0.0)
    there.at_end(MEMBERSHIPS, 0, 10, now=0.0)
    assert there.cut().rows == [row]


def test_rows_of_one_segment_keep_their_order() -> None:
    """A later row never overtakes an earlier one that still waits."""
    there = machine()
    there.take_row(0, 0, Row(("acme", "s"), 0, 3), now=0.0)
    there.take_row(0, 1, Row(("acme", "s"), 0, -1), now=0.0)
    there.take_row(0, 2, Row(("acme", "t"), 0, -1), now=0.0)
    cut = there.cut()
    assert [row.key for row in cut.rows] == [("acme", "t")]
    assert cut.positions[SEGMENTS, 0] == 0


def test_payloads_are_bounded_by_whole_pages() -> None:
    """Pages are added until there are enough records; the last may go beyond, none is cut."""
    there = machine(bounds=Bounds(changes=3, times=1))
    pages = columns(*"abcdefgh")
    there.take_changes(0, Run(pages, [(2, 2), (4, 4), (6, 6), (8, 8)], 8), now=0.0)
    assert [there.cut().changes.user.texts() for _ in range(3)] == [list("abcd"), list("efgh"), []]


def test_payloads_grow_while_they_are_filled() -> None:
    """What waits behind a payload goes into a larger one, and small again when little comes."""
    there = machine(bounds=Bounds(changes=2, linger_seconds=0.1, times=4))
    users = [str(number) for number in range(30)]
    ends = [(number, number) for number in range(1, 31)]
    there.take_changes(0, Run(columns(*users), ends, 30), now=0.0)
    assert [len(there.cut().changes) for _ in range(5)] == [2, 4, 8, 8, 8]
    assert there.cut().changes.user.texts() == []
    there.take_changes(0, Run(columns("a", "b"), [(1, 31), (2, 32)], 32), now=1.0)
    assert there.due(1.0, drained=False)


def test_a_growing_payload_waits_longer() -> None:
    """Else it would be cut before it is filled."""
    there = machine(bounds=Bounds(changes=2, linger_seconds=0.1, times=4))
    there.take_changes(0, Run(columns("a", "b"), [(1, 1), (2, 2)], 2), now=0.0)
    there.cut()
    there.take_changes(0, Run(columns("c"), [(1, 3)], 3), now=1.0)
    assert not there.due(1.15, drained=False)
    assert there.due(1.21, drained=False)


def test_an_endless_page_is_applied_in_parts() -> None:
    """Without ends memory would grow: past the bound what is there counts as whole."""
    there = machine(bounds=Bounds(open_page_records=3))
    there.take_changes(0, Run(columns("a", "b"), [], 2), now=0.0)
    assert there.whole == 0
    there.take_changes(0, Run(columns("c"), [], 3), now=0.0)
    assert there.cut().changes.user.texts() == ["a", "b", "c"]
    assert there.cut_open == 1


def test_when_a_payload_is_due() -> None:
    """At once when nothing more comes; else when it has grown or waited enough."""
    there = machine(bounds=Bounds(changes=3, linger_seconds=0.1))
    assert not there.due(0.0, drained=True)
    there.take_changes(0, Run(columns("a"), [(1, 1)], 1), now=1.0)
    assert there.due(1.0, drained=True)
    assert not there.due(1.05, drained=False)
    assert there.due(1.11, drained=False)
    there.take_changes(0, Run(columns("b", "c"), [(2, 3)], 3), now=1.05)
    assert there.due(1.05, drained=False)
    there.cut()
    assert not there.due(9.0, drained=True)


def test_outcomes_are_given_out_once() -> None:
    """Counts add up, so each is in one payload, with the position behind it."""
    there = machine()
    there.take_outcomes(0, 4, ["x", "y"], now=0.0)
    first = there.cut()
    assert (first.outcomes, first.positions[OUTCOMES, 0]) == (["x", "y"], 5)
    assert there.cut().outcomes == []


# --- any order of reading, any cuts, any restarts ------------------------------------------------


@dataclass
class Written:
    """Logs of three partitions each, as transactions of the segment sync consumer leave them."""

    logs: dict[Place, Log]
    pages: dict[int, list[int]]
    last: dict[tuple[str, str], int]


def written(chance: random.Random, transactions: int) -> Written:
    """Write random transactions: pages, markers, aborted records, rows, counts."""
    partitions = 3
    whats = (MEMBERSHIPS, SEGMENTS, OUTCOMES)
    logs: dict[Place, Log] = {(what, n): Log() for what in whats for n in range(partitions)}
    there = Written(logs, {}, {})
    number = 0
    for page in range(transactions):
        key = ("acme", f"s{chance.randrange(4)}")
        partition = chance.randrange(2)
        log = logs[MEMBERSHIPS, partition]
        log.end += chance.choice((0, 0, 0, 5))  # an aborted transaction before
        count = chance.randrange(5)
        closed = chance.random() < 0.9  # compaction takes an end now and then
        for n in range(count):
            log.add(Member(number, page, closed and n == count - 1))
            there.pages.setdefault(page, []).append(number)
            number += 1
        offset = log.records[-1][0] if log.records else -1
        log.end += 1  # the marker
        segments = logs[SEGMENTS, int(key[1][1:]) % partitions]
        segments.add(Row(key, partition, offset, page))
        segments.end += 1
        there.last[key] = page
        logs[OUTCOMES, chance.randrange(partitions)].add(f"count {page}")
    return there


class Reader:
    """Reads logs in any order into an assembler, and keeps what was applied over restarts."""

    def __init__(self, there: Written, chance: random.Random, bounds: Bounds) -> None:
        self.there, self.chance, self.bounds = there, chance, bounds
        self.positions: dict[Place, int] = dict.fromkeys(there.logs, 0)
        self.applied: list[str] = []
        self.outcomes: list[str] = []
        self.rows: dict[tuple[str, str], int] = {}
        self.restart()

    def restart(self) -> None:
        """Forget everything that was not applied."""
        self.machine: Machine = Assembler(self.positions, self.bounds)
        self.read = dict(self.positions)

    def step(self) -> None:
        """Read some of one partition."""
        place = self.chance.choice(list(self.there.logs))
        log = self.there.logs[place]
        waiting = [(at, record) for at, record in log.records if at >= self.read[place]]
        some = waiting[: self.chance.randrange(1, 4)]
        self._take(place, some)
        if len(some) == len(waiting):
            self.machine.at_end(place[0], place[1], log.end, 0.0)
            self.read[place] = log.end

    def _take(self, place: Place, some: list[tuple[int, object]]) -> None:
        what, partition = place
        if not some:
            return
        self.read[place] = some[-1][0] + 1
        if what == MEMBERSHIPS:
            members = [(at, each) for at, each in some if isinstance(each, Member)]
            self.machine.take_changes(partition, run_of(members), 0.0)
        for offset, record in some:
            if isinstance(record, Row):
                self.machine.take_row(partition, offset, record, 0.0)
            elif isinstance(record, str):
                self.machine.take_outcomes(partition, offset, [record], 0.0)

    def apply(self) -> Payload:
        """Cut, and keep what was cut: one transaction of the store."""
        cut = self.machine.cut()
        self.applied += cut.changes.user
        self.outcomes += cut.outcomes
        self.rows |= {row.key: row.number for row in cut.rows}
        self.positions = cut.positions
        for row in cut.rows:
            at = cut.positions[MEMBERSHIPS, row.memberships_partition]
            assert at > row.memberships_offset, "a row is visible before its members"
        return cut

    def check_pages(self) -> None:
        """No page is visible in part."""
        seen = set(map(int, self.applied))
        for numbers in self.there.pages.values():
            assert len(seen & set(numbers)) in {0, len(numbers)}


@given(
    seed=st.integers(0, 2**32),
    transactions=st.integers(0, 25),
    changes=st.sampled_from([1, 3, 1_000]),
)
def test_any_interleaving_applies_everything_once(
    seed: int, transactions: int, changes: int
) -> None:
    """Reading in any order with restarts gives each record once, pages whole, the last rows."""
    chance = random.Random(seed)
    reader = Reader(written(chance, transactions), chance, Bounds(changes=changes))
    for _ in range(60):
        reader.step()
        if chance.random() < 0.3:
            reader.apply()
            reader.check_pages()
        if chance.random() < 0.1:
            reader.restart()
    for place, log in reader.there.logs.items():
        rest = [(at, record) for at, record in log.records if at >= reader.read[place]]
        reader._take(place, rest)
        reader.machine.at_end(*place, log.end, 0.0)
    while reader.apply():
        reader.check_pages()
    assert sorted(map(int, reader.applied)) == list(range(len(reader.applied)))
    assert len(reader.applied) == sum(map(len, reader.there.pages.values()))
    assert sorted(reader.outcomes) == sorted(f"count {n}" for n in range(transactions))
    assert reader.rows == reader.there.last
    ends = {place: log.end for place, log in reader.there.logs.items()}
    assert reader.positions == ends
