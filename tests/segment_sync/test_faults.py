"""Processes that die, freeze, double or move in the middle of it: each change stands there once."""

from __future__ import annotations

import random
import signal
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from heapline.heap.segment_record import SegmentStatus
from tests.forwarding.harness import wait_until
from tests.segment_sync.harness import SegmentSync, drain, page

if TYPE_CHECKING:
    from pathlib import Path

    from heapline.heap.segment_page import SegmentPage
    from tests.conftest import OwnWorld

pytestmark = pytest.mark.slow

SMALL = {"HEAPLINE_SEGMENT_SYNC__CHANGES_PER_TRANSACTION": "10"}
_MORTAL = textwrap.dedent(
    """
    import os, signal
    from consumers.segment_sync.run import apply_syncs
    from consumers.segment_sync.transaction import make_producer
    from heapline.settings import load_settings

    class Mortal:
        '''A producer that kills its process at one step of its third transaction.'''
        def __init__(self, inner):
            self._inner, self._begun = inner, 0
        def __getattr__(self, name):
            call = getattr(self._inner, name)
            def stepped(*args, **kwargs):
                self._begun += name == "begin_transaction"
                if self._begun == 3 and STEP == "before " + name:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = call(*args, **kwargs)
                if self._begun == 3 and STEP == "after " + name:
                    self._inner.flush(5)
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer
            return stepped

    apply_syncs(
        load_settings(),
        lambda: False,
        until_caught_up=True,
        make=lambda *args: Mortal(make_producer(*args)),
    )
    """
)


def _pages(count: int, segments: str = "789") -> list[SegmentPage]:
    """Make pages of ten users each; no user is named twice in a segment."""
    return [
        page(
            segments[number % len(segments)],
            f"s{number}",
            add=[f"u{number}-{each}" for each in range(6)],
            remove=[f"u{number}-{each}" for each in range(6, 10)],
        )
        for number in range(count)
    ]


def _check_all(syncs: SegmentSync, pages: list[SegmentPage]) -> None:
    audit = syncs.audit()
    audit.check()
    assert len(audit.changes) == sum(len(each.add) + len(each.remove) for each in pages)
    for segment in {each.segment_id for each in pages}:
        added = {user for each in pages if each.segment_id == segment for user in each.add}
        assert audit.members["acme", segment] == added
        assert audit.rows["acme", segment].status is SegmentStatus.COMPLETE
    assert syncs.applied() == len(pages)


@pytest.mark.parametrize(
    "step",
    [
        "after begin_transaction",
        "after produce",
        "before send_offsets_to_transaction",
        "after send_offsets_to_transaction",
        "after commit_transaction",
    ],
)
def test_killed_inside_a_transaction(syncs: SegmentSync, tmp_path: Path, step: str) -> None:
    """What was half written is aborted by the successor; what was committed is not done again."""
    pages = _pages(9)
    syncs.accept(*pages)
    script = tmp_path / "mortal.py"
    script.write_text(f"STEP = {step!r}\n{_MORTAL}")
    with syncs.applier(program=[str(script)], HEAPLINE_INSTANCE_ID="a", **SMALL) as process:
        assert process.wait(120) == -9
    syncs.catch_up("a", changes_per_transaction=10)
    _check_all(syncs, pages)


def test_killed_between_the_parts_of_a_drain(syncs: SegmentSync, tmp_path: Path) -> None:
    """The successor, be it another instance, lets the rest leave, and each leaves once."""
    users = [f"u{number}" for number in range(35)]
    syncs.accept(page(add=users[:10]), page(sync="s2", add=users[10:]), drain())
    syncs.catch_up("a")
    syncs.accept(page("8", add=users[:10]), page("8", sync="s2", add=users[10:]), drain("8"))
    script = tmp_path / "mortal.py"
    script.write_text(f"STEP = 'after commit_transaction'\n{_MORTAL}")
    with syncs.applier(program=[str(script)], HEAPLINE_INSTANCE_ID="a", **SMALL) as process:
        assert process.wait(120) == -9
    syncs.catch_up("b", changes_per_transaction=10)
    audit = syncs.audit()
    audit.check()
    assert audit.members == {("acme", "7"): set(), ("acme", "8"): set()}
    assert len(audit.changes) == 4 * 35
    assert audit.rows["acme", "8"].status is SegmentStatus.DRAINED


def test_a_zombie_is_shut_out(syncs: SegmentSync) -> None:
    """A second process under the same instance id ends the first, which says why."""
    pages = _pages(6)
    with syncs.applier(HEAPLINE_INSTANCE_ID="same") as zombie:
        syncs.accept(*pages[:3])
        wait_until(lambda: syncs.applied() == 3)
        zombie.send_signal(signal.SIGSTOP)
        with syncs.applier(HEAPLINE_INSTANCE_ID="same") as heir:
            syncs.accept(*pages[3:])
            wait_until(lambda: syncs.applied() == 6, timeout=120)
            more = _pages(12)[6:]
            zombie.send_signal(signal.SIGCONT)
            for each in more:
                syncs.accept(each)
            wait_until(lambda: syncs.applied() == 12, timeout=120)
            assert heir.poll() is None or zombie.poll() is None
    _check_all(syncs, [*pages, *more])


def test_a_member_frozen_with_its_partitions(syncs: SegmentSync) -> None:
    """Another takes them over; once thawed, it joins again and spoils nothing."""
    pages = _pages(30)
    with syncs.applier(HEAPLINE_INSTANCE_ID="frozen") as frozen:
        syncs.accept(*pages[:10])
        wait_until(lambda: syncs.applied() == 10)
        frozen.send_signal(signal.SIGSTOP)
        syncs.accept(*pages[10:20])
        with syncs.applier(HEAPLINE_INSTANCE_ID="other") as other:
            wait_until(lambda: syncs.applied() == 20, timeout=120)
            frozen.send_signal(signal.SIGCONT)
            syncs.accept(*pages[20:])
            wait_until(lambda: syncs.applied() == 30, timeout=120)
            for process in (frozen, other):
                process.terminate()
                assert process.wait(120) == 0
    _check_all(syncs, pages)


def test_what_must_survive_a_moved_partition(syncs: SegmentSync) -> None:
    """The order of syncs, digests of pages, and whom a newer sync removed though he was not in."""
    old, new = page(number=1, total=2, add="ax"), page(sync="s2", remove="bx", add="c")
    syncs.accept(old, new)
    syncs.catch_up("first")
    syncs.accept(page(number=2, total=2, add="bd", remove="c"), old)
    syncs.catch_up("second")
    syncs.accept(new, page(number=2, total=2, add="bd", remove="c"))
    syncs.catch_up("third")
    audit = syncs.audit()
    audit.check()
    assert audit.members["acme", "7"] == {"a", "c", "d"}
    row = audit.rows["acme", "7"]
    assert (row.status, row.pages_offset) == (SegmentStatus.COMPLETE, 5)
    assert [(each.id, each.ordinal) for each in row.syncs] == [("s1", 1), ("s2", 2)]


def test_members_come_and_go_while_pages_are_mixed(syncs: SegmentSync) -> None:
    """Duplicated, shuffled and late pages of three segments end as their syncs in order."""
    rng = random.Random(7)
    sent: list[SegmentPage] = []
    for number in range(12):
        for segment in "789":
            for which in (1, 2):
                adds, removes = rng.sample("abcdefgh", 3), rng.sample("abcdefgh", 2)
                each = page(segment, f"s{number}", which, 2, add=adds, remove=removes)
                sent += [each] * rng.choice([1, 1, 2])
    sent = [each for _, each in sorted((n + rng.uniform(0, 25), p) for n, p in enumerate(sent))]
    with syncs.applier(HEAPLINE_INSTANCE_ID="stays"):
        for cut in range(0, len(sent), 25):
            there = sent[: cut + 25]
            syncs.accept(*there[cut:])
            with syncs.applier(HEAPLINE_INSTANCE_ID="goes") as goes:
                wait_until(lambda there=there: syncs.applied() >= len(there), timeout=120)  # type: ignore[misc]  # bound
                if rng.random() < 0.5:
                    goes.terminate()
                    # It may not even have come as far as to end gracefully.
                    assert goes.wait(120) in {0, -signal.SIGTERM}
        wait_until(lambda: syncs.applied() == len(sent), timeout=120)
    audit = syncs.audit()
    for segment in "789":
        assert audit.members["acme", segment] == _expected(sent, segment)
        assert audit.rows["acme", segment].status is SegmentStatus.COMPLETE


def _expected(sent: list[SegmentPage], segment: str) -> set[str]:
    """Apply a segment's syncs whole, in the order of their first pages."""
    order: dict[str | None, dict[int, SegmentPage]] = {}
    for each in sent:
        if each.segment_id == segment:
            order.setdefault(each.sync_task_id, {})[each.digest] = each
    members: set[str] = set()
    for pages in order.values():
        for each in pages.values():
            members |= set(each.add)
            members -= set(each.remove)
    return members


def test_the_broker_goes_away_for_a_while(own_world: OwnWorld, prefix: str) -> None:
    """Frozen for longer than a transaction may last, it is waited for."""
    pages = _pages(20)
    world = own_world(servers=("kafka", "registry"))
    syncs, kafka = SegmentSync(world, prefix), world.kafka
    with syncs.applier() as process:
        syncs.accept(*pages[:10])
        wait_until(lambda: syncs.applied() >= 1)
        kafka.pause()
        time.sleep(12)
        kafka.resume()
        syncs.accept(*pages[10:])
        wait_until(lambda: syncs.applied() == 20, timeout=90)
        process.terminate()
        assert process.wait(120) == 0
    _check_all(syncs, pages)
