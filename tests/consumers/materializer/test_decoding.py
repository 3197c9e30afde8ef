"""Records become facts: quickly where heapline wrote them, exactly where somebody else did."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from consumers.materializer.decoding import RecordReader
from consumers.materializer.segment_rows import NewestRows, VisibleRow, shown
from heapline.erasures import EraseKey, Erasure, Erasures
from heapline.heap.membership_record import AT, PAGE_END, SYNC, MembershipChange
from heapline.heap.segment_keys import memberships_partition
from heapline.heap.segment_record import HeapSegment, SegmentStatus, SegmentSync, SyncKind
from heapline.kafka.codec import Encoder
from heapline.kafka.schemas import schema_text
from heapline.memberships.segments import SegmentRow
from heapline.words import SegmentId, UserId, Workspace
from state.payload import OutcomeFacts
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from consumers.materializer.pages import Run

CONTRACTS = ("SegmentMembership", "HeapSegment", "OutcomeCounts")
IDS = {contract: number for number, contract in enumerate(CONTRACTS, 1)}
TEXTS = st.sampled_from(["acme", "u", "v"]) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=12
)


def reader(erasures: Erasures | None = None) -> RecordReader:
    """Give a reader whose registry knows the three contracts."""
    schemas = FakeSchemas({n: schema_text(contract) for contract, n in IDS.items()})
    return RecordReader(schemas, 12, erasures)


def encoded(contract: str, record: dict[str, Any]) -> bytes:
    """Give a framed value."""
    return Encoder(contract, IDS[contract]).encode(record)


def message(
    offset: int = 0,
    key: bytes | None = None,
    value: bytes | None = None,
    headers: list[tuple[str, bytes]] | None = None,
) -> Message:
    """Give a record as the consumer gives it."""
    return Message(
        topic="t",
        partition=0,
        offset=offset,
        key=key,
        value=value,
        headers=None if headers is None else [(name, told) for name, told in headers],
        timestamp=(1, 77),
    )


def written(change: MembershipChange, offset: int) -> Message:
    """Give a record as the segment sync consumer writes it."""
    record = change.to_record()
    value = None if record is None else encoded("SegmentMembership", record)
    return message(offset, change.key(), value, change.headers())


def without_pages(messages: list[Message]) -> Run:
    """Read as where nobody looks yet."""
    return reader().changes(messages, whole_pages=False)


CHANGES = st.builds(
    MembershipChange,
    workspace=TEXTS.map(Workspace),
    user=TEXTS.map(UserId),
    segment=TEXTS.map(SegmentId),
    enters=st.booleans(),
    at_ms=st.integers(0, 2**42),
    sync=st.none() | TEXTS,
    ends_page=st.booleans(),
)


def indistinguishable(changes: list[MembershipChange]) -> list[int]:
    """Give the enters whose next neighbour is of the same segment, time and sync."""
    said = [(each.workspace, each.segment, each.enters, each.at_ms, each.sync) for each in changes]
    return [n for n, (one, other) in enumerate(pairwise(said)) if one == other and one[2]]


def test_pages_that_say_the_same_end_together() -> None:
    """Two pages of a sync, accepted in one millisecond: the first is shown with the second."""
    one = MembershipChange(
        Workspace("acme"), UserId("a"), SegmentId("s"), enters=True, at_ms=5, sync="x"
    )
    pages = [replace(one, ends_page=True), replace(one, user=UserId("b"), ends_page=True)]
    run = reader().changes([written(each, n) for n, each in enumerate(pages)])
    assert run.ends == [(2, 2)]
    later = replace(pages[1], at_ms=6)
    run = reader().changes([written(each, n) for n, each in enumerate((pages[0], later))])
    assert run.ends == [(1, 1), (2, 2)]


@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_what_was_written_is_read(changes: list[MembershipChange]) -> None:
    """Every fact of a record comes back, in order, with the ends of pages."""
    run = reader().changes([written(each, 10 + n) for n, each in enumerate(changes)])
    assert run.columns.facts() == [
        (each.workspace, each.user, each.segment, each.enters, each.at_ms, each.sync)
        for each in changes
    ]
    ends = [(n + 1, 11 + n) for n, each in enumerate(changes) if each.ends_page]
    assert {*run.ends} <= {*ends}
    assert {*ends} - {*run.ends} <= {(n + 1, 11 + n) for n in indistinguishable(changes)}
    assert run.next_offset == 10 + len(changes)


@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_both_ways_of_reading_agree(changes: list[MembershipChange]) -> None:
    """Where nobody looks the same facts are read without headers; only pages have no ends."""
    messages = [written(each, 10 + n) for n, each in enumerate(changes)]
    run, quick = reader().changes(messages), without_pages(messages)
    assert quick.columns.facts() == run.columns.facts()
    assert quick.next_offset == run.next_offset
    assert quick.ends == [(len(changes), run.next_offset)]


# --- columns and one by one ----------------------------------------------------------------------

ODD_KEYS = [
    None,
    b"",
    b"\xff",
    b"[]",
    b'["a","b"]',
    b'["a","b",3]',
    b'["a","b","c"',
    b'"d"]',
    b'["a","b","c"]\n["d","e","f"]',
    b'["a", "b", "c"]',
    b'["a\\n","b","c"]',
    b'["a\\ud800","b","c"]',
    b'["a\n","b","c"]',
    b'["a","b","\xed\xa0\x80"]',
    b'["a",\n"b","c"]',
    b'["a"x"b"y"c"]',
]
ODD = st.builds(
    message,
    key=st.sampled_from(ODD_KEYS) | CHANGES.map(MembershipChange.key),
    value=st.sampled_from([None, b"", b"garbage"])
    | CHANGES.map(lambda each: written(each, 0).value()),
    headers=st.none()
    | CHANGES.map(MembershipChange.headers)
    | st.sampled_from(
        [
            [("trace", b"1")],
            [(AT, b"8"), (SYNC, b"x")],
            [(AT, b"8"), (SYNC, b"x"), (PAGE_END, b"")],
            [(AT, b"9" * 40)],
            [(AT, b"x")],
            [(AT, b"8"), (SYNC, b"\xff")],
            [("trace", b"1"), (AT, b"8"), (PAGE_END, b"")],
            [(AT, b"8"), ("trace", b"1"), (SYNC, b"x")],
            [(AT, b"8"), (SYNC, b"x"), (AT, b"9")],
            [(AT, None)],
        ]
    ),
)


@given(
    messages=st.lists(CHANGES.map(lambda each: written(each, 0)) | ODD, min_size=1, max_size=6),
    with_erasures=st.booleans(),
)
def test_columns_say_what_the_exact_way_says(
    messages: list[Message], *, with_erasures: bool
) -> None:
    """Whatever is written, columns are read rightly or not at all; erased users are left out."""
    erasures = erased("u") if with_erasures else None
    by_columns = reader(erasures).in_columns(messages)
    exactly = reader(erasures).one_by_one(messages)
    if by_columns is not None:
        assert by_columns.changes.facts() == exactly.changes.facts()
        assert [*by_columns.before] == [*exactly.before]
        assert {*by_columns.turns} <= {*exactly.turns}


ALIKE = [
    b'["a","u","s"]',
    b'["a","v","s"]',
    b'["a","","s"]',
    b'["a","\xc3\xbc, ]","s"]',
    b'["a","u","t"]',
    b'["b","u","s"]',
    b'["a","s"]',
    b'["a","u","x","s"]',
    b'["a","u","s"',
    b'["a","u","s"]\n["a","v","s"]',
    b'["a","u"',
    b',"s"]',
]


@given(st.lists(st.sampled_from(ALIKE[:4]) | st.sampled_from(ALIKE), min_size=1, max_size=6))
def test_keys_of_one_segment_are_read_as_any(keys: list[bytes]) -> None:
    """Neighbours that differ in their users only, and what merely looks like it."""
    messages = [message(n, key, headers=[(AT, b"8")]) for n, key in enumerate(keys)]
    by_columns = reader().in_columns(messages)
    assert (by_columns is None) == (not set(keys) <= set(ALIKE[:6]))
    if by_columns is not None:
        assert by_columns.changes.facts() == reader().one_by_one(messages).changes.facts()


PLAIN = [b"u", b"v", b"]", b",", b" "]
ONE_LONG = st.tuples(
    st.sampled_from([b"a", b"a", b"a", b"b", b'"']),
    st.sampled_from([*PLAIN, *PLAIN, b'"', b"\\", b"\n", b"\x01", b"\xff"]),
    st.sampled_from([b"s", b"s", b"s", b"t", b"\n"]),
    st.sampled_from([b"]", b"]", b"]", b"}", b"\n"]),
)


@given(st.lists(ONE_LONG, min_size=1, max_size=4))
def test_keys_of_one_length_are_read_as_any(each: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    """Whatever stands at any place of them."""
    keys = [b'["%s","%s","%s"%s' % texts for texts in each]
    messages = [message(n, key, headers=[(AT, b"8")]) for n, key in enumerate(keys)]
    by_columns = reader().in_columns(messages)
    plain = all(
        ws in b"ab" and user in PLAIN and segment in b"st" and end == b"]"
        for ws, user, segment, end in each
    )
    assert (by_columns is not None) == plain
    if by_columns is not None:
        assert by_columns.changes.facts() == reader().one_by_one(messages).changes.facts()


@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_records_without_escapes_are_read_in_columns(changes: list[MembershipChange]) -> None:
    """The quick way is taken for what heapline writes, unless an id needs an escape."""
    messages = [written(each, n) for n, each in enumerate(changes)]
    needs_escapes = any(b"\\" in each.key() for each in changes)
    assert (reader().in_columns(messages) is None) is needs_escapes


def erased(user: str) -> Erasures:
    """Give a list with one user erased long after everything was accepted, and another early."""
    key = EraseKey(b"secret")
    found = Erasures(key)
    for name, at_ms in ((user, 2**43), ("v", 1)):
        found.add(Erasure(Workspace("acme"), key.mac("acme", name), key.id, at_ms))
    return found


KEY = orjson.dumps(["acme", "u", "s"])
VALUE = encoded("SegmentMembership", {"entered_at": 5, "sync_task_id": "sync"})


@pytest.mark.parametrize(
    ("value", "headers", "at_ms", "sync"),
    [
        (VALUE, None, 5, "sync"),
        (VALUE, [("trace", b"\x00")], 5, "sync"),
        (None, None, 77, None),
        (None, [("trace", b"\x00"), (AT, b"8"), (SYNC, b"x")], 8, "x"),
        (None, [(AT, b"no number")], 77, None),
    ],
)
def test_records_of_others_are_read_too(
    value: bytes | None, headers: list[tuple[str, bytes]] | None, at_ms: int, sync: str | None
) -> None:
    """Without our headers the value tells, and a leave's time is when it was written."""
    columns = reader().changes([message(0, KEY, value, headers)]).columns
    assert columns.facts() == [("acme", "u", "s", value is not None, at_ms, sync)]
    assert without_pages([message(0, KEY, value, headers)]).columns.facts() == columns.facts()


def test_headers_added_by_others_do_not_hide_the_end_of_a_page() -> None:
    """Interceptors may add theirs behind ours."""
    headers = [(AT, b"8"), (SYNC, b"x"), (PAGE_END, b""), ("trace", b"1")]
    assert reader().changes([message(4, KEY, None, headers)]).ends == [(1, 5)]


@pytest.mark.parametrize(
    "key", [None, b"", b"\xff", b"[]", b'["a","b"]', b'{"a":1,"b":2,"c":3}', b'["a","b",3]']
)
def test_what_is_no_membership_is_passed_over(key: bytes | None) -> None:
    """Such a record changes nobody; it may end a page all the same, and is passed."""
    run = reader().changes([message(4, key, VALUE, [(AT, b"8"), (PAGE_END, b"")])])
    assert len(run.columns) == 0
    assert (run.ends, run.next_offset) == ([(0, 5)], 5)
    for value in (VALUE, None, b"garbage"):
        assert len(without_pages([message(4, key, value)]).columns) == 0


def segment(pages_offset: int = 3, **more: Any) -> HeapSegment:  # noqa: ANN401 -- any field
    """Give a segment's record."""
    return HeapSegment(
        workspace=Workspace("acme"),
        segment_id=SegmentId("s"),
        updated_at_ms=9,
        pages_partition=1,
        pages_offset=pages_offset,
        status=SegmentStatus.COMPLETE,
        memberships_offset=40,
        **more,
    )


def test_a_segments_record_becomes_a_row() -> None:
    """It waits for the partition in which the workspace's memberships lie."""
    sync = SegmentSync("a", 1, SyncKind.SYNC, 2, 7, 8, 9, 1, adds=5)
    record = segment(name="Trial users", syncs=(sync,)).to_record()
    row = reader().row(message(value=encoded("HeapSegment", record)))
    assert row is not None
    assert row.key == ("acme", "s")
    assert row.memberships_partition == memberships_partition(Workspace("acme"), 12)
    assert row.memberships_offset == 40
    assert (row.facts.name, row.facts.syncs[0].adds) == ("Trial users", 5)


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00\x00\x00\x02nonsense"])
def test_what_is_no_segment_is_passed_over(value: bytes | None) -> None:
    """Neither a tombstone nor garbage makes a row."""
    assert reader().row(message(value=value)) is None


def test_a_checkpoints_counts_are_read() -> None:
    """One fact for each entry."""
    count = {
        "source": "events",
        "event": "nudge_shown",
        "outcome": "delivered",
        "reason": None,
        "minute": 60_000,
        "count": 7,
    }
    value = encoded("OutcomeCounts", {"workspace": "acme", "counts": [count]})
    facts = OutcomeFacts("acme", "events", "nudge_shown", "delivered", None, 60_000, 7)
    assert reader().outcomes(message(value=value)) == [facts]
    assert reader().outcomes(message(value=b"\x00")) == []


def test_lookups_are_shown_when_a_segment_was_synced() -> None:
    """A drain is news, and no sync; what time makes of it readers tell."""
    sync = SegmentSync("a", 1, SyncKind.SYNC, 2, started_at_ms=7, last_page_at_ms=8)
    drain = SegmentSync("b", 2, SyncKind.DRAIN, 3, started_at_ms=9, last_page_at_ms=9)
    record = segment(name="Trial users", syncs=(sync, drain), has_gap=True).to_record()
    row = reader().row(message(value=encoded("HeapSegment", record)))
    assert row is not None
    assert shown(row.facts) == SegmentRow(
        "acme",
        "s",
        "Trial users",
        status="complete",
        last_synced_at_ms=8,
        pages_partition=1,
        pages_offset=3,
        last_page_at_ms=9,
        has_gap=True,
    )


def test_an_older_row_never_follows_a_newer_one() -> None:
    """What a restart reads again was shown already, and is shown again only if it is newest."""
    rows = {
        n: reader().row(message(value=encoded("HeapSegment", segment(n).to_record())))
        for n in range(6)
    }
    seen: list[VisibleRow] = [row for row in rows.values() if row is not None]
    newest = NewestRows([seen[3].facts])
    assert newest.newer([seen[2]]) == []
    assert newest.newer([seen[3], seen[5]]) == [seen[3].facts, seen[5].facts]
    assert newest.newer([seen[4]]) == []
