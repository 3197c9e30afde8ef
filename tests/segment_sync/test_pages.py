"""What becomes of pages, on the real broker."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from heapline.heap.segment_page import Action
from heapline.heap.segment_record import Rhythm, SegmentStatus
from tests.forwarding.harness import wait_until
from tests.on_kafka import write
from tests.segment_sync.harness import drain, page

if TYPE_CHECKING:
    from tests.segment_sync.harness import SegmentSync


def test_a_sync_becomes_members_and_a_row(syncs: SegmentSync) -> None:
    """Its users are in, with sync and time; its row names their last record; pages end."""
    first, second = page(number=1, total=2, add="abc"), page(number=2, total=2, add="d", remove="a")
    syncs.accept(first, second)
    assert syncs.catch_up().pages == 2
    audit = syncs.audit()
    audit.check()
    assert audit.members == {("acme", "7"): {"b", "c", "d"}}
    row = audit.rows["acme", "7"]
    assert (row.status, row.rhythm, row.name) == (
        SegmentStatus.COMPLETE,
        Rhythm.UNKNOWN,
        "Segment 7",
    )
    assert [change.ends_page for change in audit.changes] == [False, False, True, False, True]
    assert {change.at_ms for change in audit.changes} == {
        first.received_at_ms,
        second.received_at_ms,
    }


def test_a_page_that_changes_nobody_moves_the_row(syncs: SegmentSync) -> None:
    """Who waits for its position sees it come."""
    syncs.accept(page(add="a"), page(add="a"), page(sync="s2"))
    syncs.catch_up()
    audit = syncs.audit()
    audit.check()
    assert audit.rows["acme", "7"].pages_offset == 2
    assert len(audit.changes) == 1


def test_a_drain_in_the_same_batch_as_its_page(syncs: SegmentSync) -> None:
    """Everybody whom the page before it added leaves, and only they; what follows is in."""
    syncs.accept(page(add="abc", remove="z"), drain(), page(sync="s2", add="c"))
    syncs.accept(page("8", add="abc"), page(add="a", workspace="other"))
    syncs.catch_up()
    audit = syncs.audit()
    audit.check()
    assert audit.members["acme", "7"] == {"c"}
    assert audit.members["acme", "8"] == {"a", "b", "c"}
    assert audit.members["other", "7"] == {"a"}
    left = {c.user for c in audit.changes if c.sync and c.sync.startswith("drain@")}
    assert left == {"a", "b", "c"}


def test_a_drain_larger_than_a_transaction(syncs: SegmentSync) -> None:
    """It is written in parts, each of which ends as a page does; the row tells the last."""
    users = [f"u{number}" for number in range(250)]
    syncs.accept(page(add=users), drain())
    syncs.catch_up(changes_per_transaction=100)
    audit = syncs.audit()
    audit.check()
    assert audit.members["acme", "7"] == set()
    assert audit.rows["acme", "7"].status is SegmentStatus.DRAINED
    leaves = [change for change in audit.changes if not change.enters]
    assert [number for number, c in enumerate(leaves) if c.ends_page] == [99, 199, 249]


def test_a_drain_of_nobody(syncs: SegmentSync) -> None:
    """The row says so; no member changes."""
    syncs.accept(drain())
    syncs.catch_up()
    audit = syncs.audit()
    assert audit.rows["acme", "7"].status is SegmentStatus.DRAINED
    assert not audit.changes


def test_a_page_larger_than_a_transaction_may_be(syncs: SegmentSync) -> None:
    """It holds up nobody: it becomes visible in parts, whole and each change once."""
    users = [f"u{number}" for number in range(250)]
    syncs.accept(page(add=users[:130], remove=users[130:]), page("8", add="a"))
    syncs.catch_up(changes_at_once=200, changes_per_transaction=100)
    audit = syncs.audit()
    audit.check()
    assert audit.members["acme", "7"] == set(users[:130])
    assert len(audit.changes) == 251
    ends = [n for n, c in enumerate(x for x in audit.changes if x.segment == "7") if c.ends_page]
    assert ends == [99, 199, 249]


def test_two_workspaces_with_the_same_ids_never_mix(syncs: SegmentSync) -> None:
    """Not their members, not the order of their syncs, not their drains."""
    for workspace in ("acme", "beta", 'acme","u1'):
        syncs.accept(
            page(add="ab", workspace=workspace), page(sync="s2", remove="c", workspace=workspace)
        )
    syncs.accept(drain(workspace="beta"))
    syncs.catch_up()
    audit = syncs.audit()
    audit.check()
    assert audit.members == {
        ("acme", "7"): {"a", "b"},
        ("beta", "7"): set(),
        ('acme","u1', "7"): {"a", "b"},
    }
    assert audit.rows["acme", "7"].status is SegmentStatus.COMPLETE


def test_pages_that_cannot_be_read_are_put_aside(syncs: SegmentSync) -> None:
    """Each shows on its segment, none holds up what follows."""
    wrong = page("9", add="a").to_record()
    encoded = syncs.encode(wrong)
    write(
        syncs.settings,
        syncs.topic,
        [
            {"key": b'["acme","7"]', "value": b"\x00\x00"},
            {"key": b'["acme","7"]', "value": None},
            {"key": b'["acme","7"]', "value": encoded[:-3]},
            {"key": b'["acme","7"]', "value": encoded},
            {"key": b"nonsense", "value": encoded},
            {"key": None, "value": encoded},
        ],
    )
    syncs.accept(page(add="b"), page("8", add="b"))
    assert syncs.catch_up().pages == 8
    audit = syncs.audit()
    audit.check()
    row = audit.rows["acme", "7"]
    assert (row.put_aside_count, row.has_gap) == (4, True)
    assert {each.reason for each in row.put_aside} == {"undecodable"}
    assert row.status is SegmentStatus.PARTIAL
    assert audit.members == {("acme", "7"): {"b"}, ("acme", "8"): {"b"}}


def test_a_refused_call_shows_and_changes_nobody(syncs: SegmentSync) -> None:
    """Intake keeps it so that it can be seen."""
    refused = page(action=Action.REFUSED)
    syncs.accept(refused)
    syncs.catch_up()
    audit = syncs.audit()
    assert audit.rows["acme", "7"].put_aside[0].reason == "refused"
    assert not audit.changes


def test_the_command_runs_until_it_is_told_to_stop(syncs: SegmentSync) -> None:
    """SIGTERM ends it with exit code 0, and it tells what it did."""
    with syncs.applier("--json") as process:
        syncs.accept(page(add="abc"))
        wait_until(lambda: syncs.applied() == 1)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads(out) == {"pages": 1, "changes": 3}
