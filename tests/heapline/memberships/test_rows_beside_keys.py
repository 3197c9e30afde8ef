"""Rows that stand beside their users' keys: of any length, and what is told without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
import pytest

from heapline.memberships import MembershipReader, SegmentRow
from heapline.memberships.base import CODES_OF_A_BYTE, MOST_BESIDE
from state.index_base import BaseColumns
from state.index_rows import with_rows, without_rows
from state.index_writer import IndexWriter
from state.payload import KnownMemberships, KnownUsers
from tests.small_index import write_index
from tests.state.index_model import Change, IndexModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LENGTHS: Final = (0, 1, 6, 7, 8, 15, 16, MOST_BESIDE - 1, MOST_BESIDE, MOST_BESIDE + 1, 256)
HELD: Final = {f"{'u' * (at % 9)}{at}": range(256 - size, 256) for at, size in enumerate(LENGTHS)}


def segments(count: int) -> list[SegmentRow]:
    """Give so many segments."""
    return [SegmentRow("acme", str(n)) for n in range(count)]


def agree(reader: MembershipReader, held: Mapping[str, range], count: int) -> None:
    """See that every way to ask gives the same."""
    ids = [str(n) for n in range(count)]
    for user, inside in held.items():
        expected = [n in inside for n in range(count)]
        assert reader.segments_of("acme", user) == [str(n) for n in inside]
        # The first question about a segment is answered otherwise than the others.
        for _ in range(2):
            assert [reader.is_member("acme", user, each) for each in ids] == expected
        assert reader.check_columns("acme", [user] * count, ids) == expected


def entering(held: Mapping[str, range]) -> list[Change]:
    """Let users enter segments."""
    return [Change("acme", user, str(n), enters=True, at_ms=1) for user in held for n in held[user]]


def test_rows_of_any_length(tmp_path: Path) -> None:
    """Also those too long to stand there, and of users who are in nothing, who are known or not."""
    members = {
        ("acme", str(n)): [user for user, inside in HELD.items() if n in inside] for n in range(256)
    }
    write_index(tmp_path, segments(256), members)
    agree(MembershipReader(tmp_path), HELD, 256)


def test_they_outlive_merges(tmp_path: Path) -> None:
    """Of users who changed, who came later, and who did neither."""
    with IndexWriter.open(tmp_path) as writer:
        model = IndexModel()
        model.publish(writer, entering({"first": range(256)}))
        for user, inside in HELD.items():
            model.publish(writer, entering({user: inside}))
            writer.merge()
        reader = MembershipReader(tmp_path)
        agree(reader, HELD, 256)
        moved = {user: range(256 - len(inside)) for user, inside in HELD.items()}
        model.publish(
            writer,
            [
                Change("acme", user, str(n), enters=n in inside, at_ms=2)
                for user, inside in moved.items()
                for n in range(256)
            ],
        )
        agree(reader, moved, 256)
        writer.merge()
        agree(reader, moved, 256)


@pytest.mark.parametrize("merged", [False, True])
def test_segments_that_come_later(tmp_path: Path, *, merged: bool) -> None:
    """Beyond those a byte counts, whom rows beside keys cannot name."""
    count = CODES_OF_A_BYTE + 4
    held = {"u1": range(3), "u2": range(250, count), "u3": range(255, 257), "u4": range(258, count)}
    held["all"] = range(count)
    with IndexWriter.open(tmp_path) as writer:
        model = IndexModel()
        model.publish(writer, entering(dict.fromkeys(held, range(1)) | {"all": range(250)}))
        writer.merge()
        model.publish(writer, entering(held))
        leaving = [
            Change("acme", user, "0", enters=False, at_ms=2) for user in held if 0 not in held[user]
        ]
        model.publish(writer, leaving)
        if merged:
            writer.merge()
    reader = MembershipReader(tmp_path)
    assert reader.pinned().base.rows_beside is not merged
    agree(reader, held, count)


@pytest.mark.parametrize(
    ("ids", "padded"),
    [
        ([f"{'x' * (n % 40)}{n}" for n in range(200)], False),  # would take half as much again
        ([str(UUID(int=n)) for n in range(200)], True),
        ([f"{n:095}" for n in range(200)], True),
    ],
    ids=["of many lengths", "UUIDs", "longer than a line"],
)
def test_a_base_gives_its_users_back(tmp_path: Path, ids: list[str], *, padded: bool) -> None:
    """As they were before their rows stood with them, and padded to lines of the cache."""
    sizes = np.arange(200) % 12
    users = KnownUsers(np.zeros(200, np.uint32), np.array(ids, np.object_))
    segment, user = np.nonzero(np.arange(12)[:, None] < sizes)
    known = KnownMemberships.of(
        segment.astype(np.uint32), user.astype(np.uint32), np.zeros(user.size, np.int64)
    )
    with IndexWriter.build(tmp_path, ["acme"], users, segments(12), known):
        base = MembershipReader(tmp_path).pinned().base
    given, expected = without_rows(base), BaseColumns.known(users, 12, known).users
    assert given.words.tolist() == expected.words.tolist()
    assert given.offsets.tolist() == expected.offsets.tolist()
    assert given.entries.tolist() == expected.entries.tolist()
    rows = np.concatenate([np.arange(size, dtype=np.uint8) for size in sizes])
    written = with_rows(given, rows, sizes)
    assert written.words.tolist() == base.dictionary.columns().words.tolist()
    ends = written.offsets[:-1] + np.diff(given.offsets)
    assert (ends % 8 == 0).all() == padded
