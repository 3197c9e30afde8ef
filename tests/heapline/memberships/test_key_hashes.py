"""A key's hash, and the same for a column of keys."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from heapline.memberships.keys import LONG_BYTES, key_groups, tail_of


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


@pytest.mark.parametrize("odd", ["", "\n", "\n\n", "a\nb", "é", "😀\n"])
def test_any_users_make_a_column(odd: str) -> None:
    """Of one length or of several, with line ends, and beyond ASCII."""
    for users in ([odd], [odd, "ab", "cd", odd + "x"], ["ab", "cd"], ["a", odd, "bcd", ""]):
        keys = {
            int(row): group.key(at)
            for group in key_groups(users, 5)
            for at, row in enumerate(group.rows)
        }
        expected = [user.encode() + tail_of(5) for user in users]
        assert [keys[row] for row in range(len(users))] == expected
