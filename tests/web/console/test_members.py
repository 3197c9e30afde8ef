"""Finding members by a part of their id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heapline.memberships import MembershipReader, SegmentRow
from tests.small_index import write_index
from web.console.members import SEARCHED, SHOWN, find_members

if TYPE_CHECKING:
    from pathlib import Path

    from heapline.memberships import Memberships


@pytest.fixture
def view(tmp_path: Path) -> Memberships:
    """An index of one segment with 12,000 members."""
    users = [f"User-{n}" for n in range(12_000)]
    write_index(tmp_path, (SegmentRow("acme", "7", "Free"),), {("acme", "7"): users}, 1, 1)
    return MembershipReader(tmp_path).pinned()


def all_found(view: Memberships, part: str) -> list[str]:
    """Search on to the end."""
    users: list[str] = []
    cursor: str | None = None
    while True:
        found = find_members(view, "acme", "7", part, cursor)
        users += found.users
        cursor = found.more
        if cursor is None:
            return users


@pytest.mark.parametrize("part", ["user-11999", "99", "nobody", "USER-11"])
def test_everybody_is_found_once(view: Memberships, part: str) -> None:
    """However many pages it takes."""
    there = [f"User-{n}" for n in range(12_000)]
    assert sorted(all_found(view, part)) == sorted(
        each for each in there if part.lower() in each.lower()
    )


def test_a_page_looks_at_so_many_and_no_more(view: Memberships) -> None:
    """Where nothing is found among them, it says where to go on."""
    found = find_members(view, "acme", "7", "nobody", None)
    assert found.users == ()
    assert found.more is not None
    rest = find_members(view, "acme", "7", "nobody", found.more)
    assert rest.more is not None
    assert find_members(view, "acme", "7", "nobody", rest.more).more is None
    assert SEARCHED == 5_000


def test_without_a_part_all_are_listed(view: Memberships) -> None:
    """Page by page."""
    assert len(find_members(view, "acme", "7", "", None).users) == SHOWN
    assert len(all_found(view, "")) == 12_000
