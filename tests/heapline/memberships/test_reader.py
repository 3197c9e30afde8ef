"""A reader's answers, its cursors, its sets, and how it follows the writer."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.clock import Deadline, SystemClock
from heapline.errors import CallerMistake
from heapline.heap.freshness import ABANDONED_MS, SILENT_MS
from heapline.kafka.position import Position
from heapline.memberships import (
    IndexUnavailable,
    InvalidCursor,
    MembershipReader,
    SegmentRow,
    UnknownSegment,
    UnknownWorkspace,
)
from heapline.memberships.generations import PUBLISHED
from state.index_writer import IndexWriter
from state.raw_changes import RawChanges
from tests.fakes.clock import FakeClock
from tests.small_index import ENTERED_AT_MS, write_index
from tests.state.index_model import Change, IndexModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD: Final = ("", " ", "a\x00b", "\x1b[31m", "line\nbreak", "😀", "é", "e\u0301", "\U0010ffff")
LONG: Final = "x" * 1_000_000
ROWS: Final = (SegmentRow("acme", "7"), SegmentRow("acme", "8"), SegmentRow("globex", "7"))


@pytest.fixture
def reader(tmp_path: Path) -> MembershipReader:
    """An index of two workspaces with the same segment and user ids, and odd ones."""
    members = {
        ("acme", "7"): ["u1", "u2", *ODD, LONG],
        ("acme", "8"): ["u2", "u3", *ODD],
        ("globex", "7"): ["u2", "u9"],
    }
    write_index(tmp_path, ROWS, members)
    return MembershipReader(tmp_path)


@pytest.mark.parametrize("user", [*ODD, LONG], ids=lambda user: ascii(user[:9]))
def test_any_text_is_an_id(reader: MembershipReader, user: str) -> None:
    """Empty, of control characters, of a million bytes; alone and in columns."""
    wanted = ["7"] if user == LONG else ["7", "8"]
    assert reader.segments_of("acme", user) == wanted
    assert reader.memberships_of("acme", user) == [(each, ENTERED_AT_MS) for each in wanted]
    assert reader.is_member("acme", user, "7")
    assert reader.check_users("acme", ["nobody", user, user + "x"], "7") == [False, True, False]
    assert user in reader.member_set("acme", "7")
    assert not reader.is_member("globex", user, "7")
    assert reader.evaluate("acme", {"type": "all_users"}, user).result == "match"


def test_many_are_answered_as_each_is(tmp_path: Path) -> None:
    """Columns over several blocks: of the base, of the overlay, who changed, and who is unknown."""
    known = [f"user {n}" for n in range(30_000)]
    members = [("7", user, True) for user in known[::2]]
    members += [("8", user, True) for user in known[::3]]
    changes = [("7", user, at % 4 == 2) for at, user in enumerate(known[::5])]
    changes += [("8", f"new {n}", True) for n in range(3_000)]
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, [Change("acme", user, name, on, 1) for name, user, on in members])
        writer.merge()
        model.publish(writer, [Change("acme", user, name, on, 2) for name, user, on in changes])
    reader = MembershipReader(tmp_path)
    users = [*known, *(f"new {n}" for n in range(4_000))]
    segments = [("7", "8", "8", "9")[at % 4] for at in range(len(users))]
    expected = [
        None if segment == "9" else reader.is_member("acme", user, segment)
        for user, segment in zip(users, segments, strict=True)
    ]
    assert reader.check_columns("acme", users, segments) == expected
    assert {*expected} == {True, False, None}
    in_eight = reader.check_users("acme", users, "8")
    assert in_eight == ["8" in reader.segments_of("acme", user) for user in users]


def test_large_segments_are_answered_as_small_ones(tmp_path: Path) -> None:
    """By their bits, where there are some; alone and in columns."""
    chance, users = random.Random(5), [f"u{n}" for n in range(70_000)]
    shares = {"all": 1.0, "half": 0.5, "some": 0.3, "few": 0.001, "none": 0.0}
    held = {name: {user for user in users if chance.random() < shares[name]} for name in shares}
    rows = [SegmentRow("acme", name) for name in shares]
    members = {("acme", name): [user for user in users if user in held[name]] for name in shares}
    write_index(tmp_path, rows, members)
    reader = MembershipReader(tmp_path)
    asked = [*chance.choices(users, k=40_000), "nobody"]
    names = chance.choices([*shares], k=len(asked))
    expected = [user in held[name] for user, name in zip(asked, names, strict=True)]
    assert reader.check_columns("acme", asked, names) == expected
    for name in shares:
        expected = [user in held[name] for user in asked]
        assert reader.check_users("acme", asked, name) == expected
        assert [reader.is_member("acme", user, name) for user in asked] == expected


def test_more_segments_than_a_byte_counts(tmp_path: Path) -> None:
    """Their codes are written wider then."""
    rows = [SegmentRow("acme", str(n)) for n in range(300)]
    held = {f"u{n}": [str(each) for each in range(n, 300, 7)] for n in range(20)}
    members = {
        ("acme", row.segment_id): [user for user in held if row.segment_id in held[user]]
        for row in rows
    }
    write_index(tmp_path, rows, members)
    reader = MembershipReader(tmp_path)
    for user, segments in held.items():
        assert reader.segments_of("acme", user) == segments
        flags = reader.check_columns("acme", [user] * 300, [row.segment_id for row in rows])
        assert flags == [row.segment_id in segments for row in rows]


def test_half_a_character_is_nobody(reader: MembershipReader) -> None:
    """No such id can be synced; asking is no error."""
    half = "\ud83d"
    assert not reader.is_member("acme", half, "7")
    assert reader.segments_of("acme", half) == []
    assert reader.check("acme", [(half, "7"), ("u1", "7")]) == [False, True]


def test_workspaces_never_mix(reader: MembershipReader) -> None:
    """The same ids are other users and other segments."""
    assert reader.segments_of("acme", "u2") == ["7", "8"]
    assert reader.segments_of("globex", "u2") == ["7"]
    assert reader.segments_of("globex", "u1") == []
    assert sorted(reader.members("globex", "7")) == ["u2", "u9"]


def test_what_is_unknown_is_told_apart(reader: MembershipReader) -> None:
    """A workspace, a segment; a user is simply in nothing."""
    asked: list[Callable[[str, str], object]] = [
        lambda workspace, segment: reader.is_member(workspace, "u1", segment),
        lambda workspace, segment: reader.entered_at_ms(workspace, "u1", segment),
        reader.count,
        reader.segment,
        reader.members,
        reader.members_page,
        lambda workspace, segment: reader.check_users(workspace, ["u1"], segment),
    ]
    for ask in asked:
        with pytest.raises(UnknownSegment, match="turn its sync on"):
            ask("globex", "8")
        with pytest.raises(UnknownWorkspace, match="initech"):
            ask("initech", "7")
    for unknown in (reader.segments, lambda workspace: reader.check(workspace, [])):
        with pytest.raises(UnknownWorkspace):
            unknown("initech")
    with pytest.raises(UnknownWorkspace):
        reader.segments_of("initech", "u1")
    with pytest.raises(UnknownWorkspace):
        reader.evaluate("initech", {"type": "all_users"}, "u1")
    assert reader.entered_at_ms("acme", "nobody", "7") is None
    assert reader.check("acme", [("u1", "7"), ("u1", "8"), ("u1", "9")]) == [True, False, None]


@settings(max_examples=30, deadline=None)
@given(limit=st.integers(1, 13))
def test_pages_of_any_size_are_the_whole(shared: MembershipReader, limit: int) -> None:
    """Everybody once, and no page is longer than was asked."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        users, cursor = shared.members_page("acme", "7", cursor, limit)
        assert len(users) <= limit
        found += users
        if cursor is None:
            break
    assert sorted(found) == sorted(f"u{n}" for n in range(12))
    assert list(shared.members("acme", "7")) == found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> MembershipReader:
    """An index nobody changes."""
    folder = tmp_path_factory.mktemp("index")
    write_index(folder, ROWS[:1], {("acme", "7"): [f"u{n}" for n in range(12)]})
    return MembershipReader(folder)


def test_a_cursor_outlives_generations(tmp_path: Path) -> None:
    """Whoever is in from the first page to the last is listed once."""
    model, found = IndexModel(), []
    with IndexWriter.open(tmp_path) as writer:
        model.publish(
            writer, [Change("acme", f"u{n}", "7", enters=True, at_ms=n) for n in range(9)]
        )
        reader, cursor = MembershipReader(tmp_path), None
        for step in range(5):
            users, cursor = reader.members_page("acme", "7", cursor, 2)
            found += users
            model.publish(
                writer,
                [
                    Change("acme", "u8", "7", enters=False, at_ms=step),
                    Change("acme", f"new {step}", "7", enters=True, at_ms=step),
                ],
            )
            writer.merge()
    assert [user for user in found if user.startswith("u")] == [f"u{n}" for n in range(8)]


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "1-", "-1", "1-x", "1--1", "1-٣", f"1-{2**32}", "9" * 5_000]
)
def test_what_is_no_cursor(shared: MembershipReader, cursor: str) -> None:
    """A caller's text is never trusted."""
    with pytest.raises(InvalidCursor):
        shared.members_page("acme", "7", cursor)


def test_sets_combine_within_a_workspace(reader: MembershipReader) -> None:
    """Exactly, with count and members; of two workspaces they do not."""
    seven, eight = reader.member_set("acme", "7"), reader.member_set("acme", "8")
    assert sorted(seven & eight) == sorted(["u2", *ODD])
    assert len(seven | eight) == len({"u1", "u2", "u3", *ODD, LONG})
    assert sorted(seven - eight) == sorted(["u1", LONG])
    assert sum(map(len, (seven | eight).pages(3))) == len(seven | eight)
    with pytest.raises(CallerMistake, match="two workspaces"):
        seven.and_(reader.member_set("globex", "7"))


def test_a_pinned_view_stays_as_it_is(tmp_path: Path) -> None:
    """However often the writer publishes; the reader goes along."""
    model = IndexModel()
    with IndexWriter.open(tmp_path, merge_bytes=500) as writer:
        model.publish(writer, [Change("acme", "u", "7", enters=True, at_ms=1)])
        reader = MembershipReader(tmp_path)
        pinned = reader.pinned()
        for n in range(12):
            change = Change("acme", "u", "7", enters=bool(n % 2), at_ms=n)
            model.publish(writer, [change, Change("acme", f"new {n}", "7", enters=True, at_ms=n)])
            assert reader.is_member("acme", "u", "7") is bool(n % 2)
        assert (pinned.count("acme", "7"), reader.count("acme", "7")) == (1, 13)
        assert pinned.freshness != reader.freshness == writer.freshness


def test_time_alone_changes_a_segments_row(tmp_path: Path) -> None:
    """An abandoned sync is partial, a silent recurring one stale; answers flag both."""
    clock = FakeClock()
    start = clock.epoch_ms()
    rows = [
        SegmentRow("acme", "7", "", "syncing", last_synced_at_ms=start, last_page_at_ms=start),
        SegmentRow("acme", "8", "", "complete", "recurring", last_synced_at_ms=start),
    ]
    write_index(tmp_path, rows, {})
    reader = MembershipReader(tmp_path, clock)
    everybody = {"type": "OR", "exprs": [in_segment("7"), in_segment("8")]}
    assert reader.segments("acme") == rows
    clock.sleep(ABANDONED_MS / 1_000)
    assert reader.segment("acme", "7").status == "partial"
    assert reader.evaluate("acme", everybody, "u").doubtful == ("7",)
    clock.sleep((SILENT_MS - ABANDONED_MS) / 1_000)
    assert reader.segment("acme", "7").rhythm == "once"
    assert reader.segment("acme", "8").stale
    assert reader.evaluate("acme", everybody, "u").doubtful == ("7", "8")


def in_segment(segment: str) -> dict[str, object]:
    """Write a condition."""
    condition = {"type": "heap", "operator": "is", "value": segment}
    return {"type": "CONDITION", "condition": condition}


def test_a_position_is_reached_segment_by_segment(tmp_path: Path) -> None:
    """Another segment's page further on in the same partition says nothing of this one."""
    rows = [
        SegmentRow("acme", "7", pages_partition=2, pages_offset=10),
        SegmentRow("acme", "8", pages_partition=2, pages_offset=99),
    ]
    write_index(tmp_path, rows, {})
    reader = MembershipReader(tmp_path)
    asked = {
        (2, 9, "7"): True,
        (2, 10, "7"): True,
        (2, 11, "7"): False,
        (2, 11, "8"): True,
        (1, 9, "7"): False,
        (2, 0, "9"): False,
    }
    for (partition, offset, segment), reached in asked.items():
        position = Position.of(partition, offset, "acme", segment)
        assert reader.has_reached(position) is reached
        assert not reader.has_reached(Position.of(partition, offset, "globex", segment))


def test_a_folder_without_the_number_is_read_too(tmp_path: Path) -> None:
    """A copy somewhere else: news are then noticed by looking."""
    with IndexWriter.open(tmp_path) as writer:
        (tmp_path / PUBLISHED).unlink()
        reader = MembershipReader(tmp_path)
        IndexModel().publish(writer, [Change("acme", "u", "7", enters=True, at_ms=1)])
        assert reader.workspaces() == []
        reader.refresh()
        assert reader.workspaces() == ["acme"]


def test_an_index_that_goes_away_is_answered_from_memory(tmp_path: Path) -> None:
    """A mapped generation needs no names; looking again says what is wrong."""
    write_index(tmp_path, ROWS[:1], {("acme", "7"): ["u"]})
    reader = MembershipReader(tmp_path)
    for path in tmp_path.glob("*"):
        path.unlink()
    assert reader.is_member("acme", "u", "7")
    with pytest.raises(IndexUnavailable):
        reader.refresh()
    assert reader.is_member("acme", "u", "7")


def test_threads_share_a_reader(tmp_path: Path) -> None:
    """While generations come, each sees whole ones, and never an older after a newer."""
    model, wrong, stop = IndexModel(), [], threading.Event()
    with IndexWriter.open(tmp_path, merge_bytes=2_000) as writer:
        publish_round(model, writer, 0)
        reader = MembershipReader(tmp_path)

        def look() -> None:
            newest = 0
            while not stop.is_set():
                view = reader.pinned()
                sizes = {view.count("acme", segment) for segment in ("7", "8", "9")}
                if len(sizes) > 1 or view.freshness.generation < newest:
                    wrong.append((sizes, view.freshness.generation, newest))
                newest = view.freshness.generation
                time.sleep(0.001)

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 25):
                publish_round(model, writer, number)
            deadline = Deadline(SystemClock(), 60)
            while reader.freshness != writer.freshness:
                assert not deadline.passed()
                time.sleep(0.01)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not wrong


def publish_round(model: IndexModel, writer: IndexWriter, number: int) -> None:
    """Let one user more into each of three segments, all in one payload."""
    changes = [
        Change("acme", f"u{number}", segment, enters=True, at_ms=number)
        for segment in ("7", "8", "9")
    ]
    model.publish(writer, changes)


def test_an_empty_index_knows_nobody(tmp_path: Path) -> None:
    """And is no error."""
    with IndexWriter.open(tmp_path) as writer:
        writer.publish(writer.stage(RawChanges()), version=1, position={"m[0]": 3}, as_of_ms=5)
    reader = MembershipReader(tmp_path)
    assert (reader.freshness.position, reader.freshness.as_of_ms) == ({"m[0]": 3}, 5)
    with pytest.raises(UnknownWorkspace):
        reader.segments("acme")
