"""The line of records waiting in one lane."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumers.forwarder.budget import Budget
from consumers.forwarder.record import Record
from consumers.forwarder.trial import Part, Trial
from consumers.forwarder.waiting import Waiting
from heapline.outcomes import DeferReason, Source
from tests.consumers.forwarder.samples import record, records

if TYPE_CHECKING:
    from consumers.forwarder.slab import Slice

_PLENTY = 1_000_000


def waiting(*held: Record) -> Waiting:
    """Make a line."""
    line = Waiting()
    for each in held:
        line.add(each)
    return line


def budget(identity_limit: int = 100, **used: int) -> Budget:
    """Make a full budget of which some identities have used a part."""
    made = Budget(10_000, identity_limit, started_at=-1_000.0)
    if used:
        made.hold(0, used)
    return made


def take(line: Waiting, most: int = 1_000, allowance: int = 100, **used: int) -> list[Record]:
    """Take what may go."""
    return of_records(line.take(most, _PLENTY, allowance, budget(allowance, **used)))


def of_records(taken: list[Record | Slice]) -> list[Record]:
    """See that no rows are among what was taken."""
    return [each for each in taken if isinstance(each, Record)]


def test_records_go_in_order() -> None:
    """First come, first sent, up to a count."""
    held = records(5)
    line = waiting(*held)
    assert take(line, 3) == held[:3]
    assert take(line, 3) == held[3:]


def test_a_request_is_cut_by_its_exact_bytes() -> None:
    """Each event costs its bytes and a comma; the first goes whatever its size."""
    held = records(3, body=b"x" * 9)
    line = waiting(*held)
    assert line.take(10, 19, 100, budget()) == held[:1]
    assert line.take(10, 20, 100, budget()) == held[1:]
    large = record(body=b"x" * 5_000)
    assert waiting(large).take(10, 100, 100, budget()) == [large]


def test_an_identity_over_its_limit_holds_nobody_up() -> None:
    """Its records stand aside until it has room, and its newer ones behind them."""
    hot, other, hot_again = records(3, "hot"), record("cold"), record("hot")
    line = waiting(*hot, other)
    assert take(line, allowance=2) == [*hot[:2], other]
    line.add(hot_again)
    assert (line.blocked, line.unblocked, len(line)) == (2, 0, 2)
    line.unblock(["hot"], 2, budget(2, hot=1))
    assert take(line, allowance=2, hot=1) == [hot[2]]
    assert take(line, allowance=2, hot=2) == []
    line.unblock(["hot", "cold"], 2, budget(2))
    assert take(line, allowance=2) == [hot_again]
    assert not line


def test_nobody_is_blocked_while_nobody_has_room() -> None:
    """A lane that has just started keeps its line as it is."""
    held = records(3)
    line = waiting(*held)
    assert take(line, allowance=0) == []
    assert line.blocked == 0
    assert take(line) == held


def test_those_let_go_again_are_sent_oldest_first() -> None:
    """Whatever their identities, so that no old record holds a checkpoint up."""
    held = [record(user, read_at=float(at)) for at, user in enumerate("abcabc")]
    line = waiting(*held)
    assert take(line, allowance=2, a=2, b=2, c=2) == []
    line.unblock(["c", "a", "b"], 2, budget(2))
    assert list(line.line) == held


def test_a_part_without_room_for_its_identity_holds_nobody_up() -> None:
    """The next part that fits goes first."""
    blocked, free = Part(records(2, "hot"), None), Part(records(2, "cold"), None)
    line = Waiting()
    line.put_parts(blocked, free)
    assert line.next_part(2, budget(2, hot=1)) is free
    assert line.next_part(2, budget(2)) is blocked
    assert line.next_part(1, budget(1)) is None


def test_a_probe_is_an_event_whose_identity_has_room() -> None:
    """Else the probe itself would be one event too many."""
    line = waiting(*records(2, "hot"))
    assert line.take_probe(5, budget(5, hot=5)) == []
    cold = record("cold")
    line.add(cold)
    assert line.take_probe(5, budget(5, hot=5)) == [cold]


def test_dissolving_gives_suspects_back_too() -> None:
    """An examination given up leaves no record behind."""
    trial = Trial(3)
    part = Part(records(2), trial)
    line = Waiting()
    line.put_parts(part)
    line.dissolve()
    assert trial.dissolved
    assert list(line.line) == part.records


def test_old_records_leave_those_over_a_limit_first() -> None:
    """Whatever stands before them; deferred records pin nothing and stay."""
    deferred = record("hot", read_at=1.0, source=Source.DEFERRED)
    hot = record("hot", read_at=2.0)
    line = waiting(deferred, hot)
    assert take(line, allowance=4, hot=4) == []
    young, old = record("u1", read_at=9.0), record("u2", read_at=3.0)
    line.add(young)
    line.add(old)
    taken = list(line.take_old(5.0))
    assert taken == [(hot, DeferReason.IDENTITY_OVER_LIMIT), (old, DeferReason.TOO_OLD)]
    assert len(line) == 2
    assert list(line.take_old(5.0)) == []
    assert list(line.take_old(9.1)) == [(young, DeferReason.TOO_OLD)]


def test_a_record_put_back_is_as_old_as_it_was() -> None:
    """A failed request does not make its events young."""
    line = waiting(record(read_at=50.0))
    assert list(line.take_old(10.0)) == []
    back, part = record(read_at=1.0), record(read_at=2.0)
    line.put_back([back])
    line.put_parts(Part([part], None))
    assert {r for r, _ in line.take_old(10.0)} == {back, part}


def test_beyond_its_bound_the_newest_leave_those_over_a_limit_first() -> None:
    """The oldest keep their place."""
    hot, cold = records(3, "hot"), records(4)
    line = waiting(*hot)
    assert take(line, allowance=4, hot=4) == []
    for each in cold:
        line.add(each)
    assert list(line.take_overfull(3)) == [
        *((each, DeferReason.IDENTITY_OVER_LIMIT) for each in reversed(hot)),
        (cold[3], DeferReason.OVER_LIMIT),
    ]
    assert list(line.take_overfull(3)) == []


def test_deferred_records_of_a_hot_identity_do_not_fill_the_lane() -> None:
    """Beyond a count the newest go back to where they waited."""
    hot = records(5, "hot", source=Source.DEFERRED)
    own = record("hot")
    line = waiting(*hot, own)
    assert take(line, allowance=4, hot=4) == []
    assert line.take_overblocked(6) == []
    assert line.take_overblocked(4) == hot[3:]
    assert line.blocked == 4


class WaitingMachine(RuleBasedStateMachine):
    """Any use of a line: no record is lost, doubled or invented, and the counters are true."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Waiting()
        self.inside: set[Record] = set()
        self.out: list[Record] = []
        self.now = 0.0

    @rule(
        events=st.integers(1, 6),
        identity=st.sampled_from("abc"),
        source=st.sampled_from([Source.EVENTS, Source.DEFERRED]),
    )
    def add(self, events: int, identity: str, source: Source) -> None:
        """Let records wait."""
        self.now += 1.0
        for each in records(events, identity, source=source, read_at=self.now):
            self.line.add(each)
            self.inside.add(each)

    @rule(most=st.integers(1, 8), used=st.integers(0, 4))
    def take(self, most: int, used: int) -> None:
        """Send some."""
        self._leave(take(self.line, most, allowance=4, a=used, b=4))

    @rule(used=st.integers(0, 4))
    def unblock(self, used: int) -> None:
        """Give identities room."""
        self.line.unblock(self.line.blocked_identities, 4, budget(4, a=used))

    @rule()
    def put_back(self) -> None:
        """Fail what was sent."""
        self.line.put_back(self.out)
        self.inside.update(self.out)
        self.out = []

    @rule()
    def refuse(self) -> None:
        """Examine what was sent."""
        if self.out:
            self.line.put_parts(Part(self.out, Trial(len(self.out))))
            self.inside.update(self.out)
            self.out = []

    @rule(age=st.floats(0.0, 5.0))
    def take_old(self, age: float) -> None:
        """Spill by age."""
        before = self.now - age
        self._leave([r for r, _ in self.line.take_old(before)])
        kept = [r for r in self.inside if r.source is Source.EVENTS]
        assert all(r.read_at >= before for r in kept)

    @rule(most=st.integers(0, 20))
    def take_overfull(self, most: int) -> None:
        """Spill by count."""
        self._leave([r for r, _ in self.line.take_overfull(most)])

    @rule(most=st.integers(0, 20))
    def take_overblocked(self, most: int) -> None:
        """Spill what is blocked."""
        self._leave(self.line.take_overblocked(most))

    @rule()
    def dissolve(self) -> None:
        """Give examinations up."""
        self.line.dissolve()

    @rule()
    def probe(self) -> None:
        """Take one."""
        self._leave(of_records(self.line.take_probe(4, budget(4, a=4))))

    def _leave(self, taken: list[Record]) -> None:
        assert len(set(taken)) == len(taken)
        assert set(taken) <= self.inside
        self.inside -= set(taken)
        self.out += taken

    @invariant()
    def counters_are_true(self) -> None:
        """What the line says of itself is what is in it."""
        there = Counter(self.line._all())
        assert set(there) == self.inside
        assert max(there.values(), default=1) == 1
        assert len(self.line) == len(self.inside)
        assert self.line.blocked == sum(map(len, self.line._blocked.values()))
        assert bool(self.line) == bool(self.inside)
        assert all(self.line._blocked.values())


TestWaiting = WaitingMachine.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
