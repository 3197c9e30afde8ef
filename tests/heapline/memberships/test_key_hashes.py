"""A key's hash, and the same for a column of keys."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heapline.memberships.keys import LONG_BYTES, WORD_BYTES, key_groups, tail_of


@pytest.mark.parametrize("length", range(LONG_BYTES + 2))
def test_a_column_is_hashed_as_one_user_is(length: int) -> None:
    """Of any length, even or odd: a user written by column is found alone."""
    users = ["".join(chr(ord("a") + (n + shift) % 26) for n in range(length)) for shift in (0, 7)]
    codes = (0x01FE03, 0x2A)
    for workspaces in (codes[0], np.array(codes, np.int64)):
        (group,) = key_groups(users, workspaces)
        each = [codes[0]] * 2 if isinstance(workspaces, int) else codes
        keys = [user.encode() + tail_of(code) for user, code in zip(users, each, strict=True)]
        assert [group.key(row) for row in range(2)] == keys
        assert group.hashes.tolist() == [zlib.crc32(key) for key in keys]


@pytest.mark.parametrize("workspace", [0, 5, 0xFF, 0x80FF00, 0xFFFFFF])
@given(st.lists(st.text("ab\0\n\x7f\x80\xff😀", max_size=6), min_size=1, max_size=6))
@example(["ab", "cd"])
@example(["ab", "a", "bcd", "ef"])
@example(["ab", "\xff", "cd"])
@example(["ab\0\0", "\0\0\0\0", "abcd"])
def test_any_users_make_a_column(workspace: int, users: list[str]) -> None:
    """Of one length or of several, with line ends and zeros, and beyond ASCII."""
    groups = list(key_groups(users, workspace))
    found = {
        int(row): (group.key(at), int(group.hashes[at]), group.words[at].tobytes())
        for group in groups
        for at, row in enumerate(group.rows)
    }
    keys = [user.encode() + tail_of(workspace) for user in users]
    written = [key.ljust(-(-len(key) // WORD_BYTES) * WORD_BYTES, b"\0") for key in keys]
    assert [found[row] for row in range(len(users))] == [
        (key, zlib.crc32(key), words) for key, words in zip(keys, written, strict=True)
    ]
    assert len({group.length for group in groups}) == len(groups)


@pytest.mark.parametrize("users", [["a", "\udc80"], ["\udc80", "a"]])
def test_half_of_a_surrogate_pair_makes_no_key(users: list[str]) -> None:
    """It has no UTF-8, also among ids of one length."""
    with pytest.raises(UnicodeEncodeError):
        list(key_groups(users, 5))
