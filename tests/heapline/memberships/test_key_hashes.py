from __future__ import annotations

import zlib

import pytest

from heapline.memberships.keys import LONG_BYTES, key_groups, prefix_of


@pytest.mark.parametrize("length", range(LONG_BYTES + 2))
def test_a_column_is_hashed_as_one_user_is(length: int) -> None:
    """Of any length, even or odd: a user written by column is found alone."""
    users = ["".join(chr(ord("a") + (n + shift) % 26) for n in range(length)) for shift in (0, 7)]
    (group,) = key_groups(users, 0x01FE03)
    expected = [zlib.crc32(prefix_of(0x01FE03) + user.encode()) for user in users]
    assert group.hashes.tolist() == expected
