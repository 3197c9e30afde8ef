"""Users who are appended, a few at a time: found as if all had been there from the beginning."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.memberships.dictionary import NOBODY, Dictionary, DictionaryColumns
from heapline.memberships.keys import key_groups, tail_of
from state.growing import Growing
from state.index_newer import NewerUsers
from state.payload import NewUsers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_CODE: Final = 1_000
UNKNOWN: Final = ["nobody", "", "é" * 40]
ids = st.sets(st.text(max_size=5) | st.integers(0, 10**6).map("user {}".format), max_size=60)


def new(users: Sequence[str]) -> NewUsers:
    """Make users of one workspace."""
    return NewUsers(np.full(len(users), 7, np.uint32), [*users])


def see(users: NewerUsers, wanted: Sequence[str]) -> None:
    """Look for everybody, alone and in a column, and for others."""
    asked = [*wanted, *(each for each in UNKNOWN if each not in wanted)]
    codes = [*range(FIRST_CODE, FIRST_CODE + len(wanted))]
    codes += [NOBODY] * (len(asked) - len(wanted))
    for dictionary in (users.dictionary, written(users)):
        assert [dictionary.find(user.encode() + tail_of(7)) for user in asked] == codes
        assert dictionary.find_many(key_groups(asked, 7), len(asked)).tolist() == codes
        assert [*map(dictionary.text, codes[: len(wanted)])] == [*wanted]
    entries = users.columns().entries
    assert entries.tolist() == sorted(
        (zlib.crc32(user.encode() + tail_of(7)) << 32) | code for code, user in enumerate(wanted)
    )


def written(users: NewerUsers) -> Dictionary:
    """Read what is written of them."""
    sections = users.sections()
    words = users.words.rows.tobytes()
    return Dictionary(words, 0, sections["key_offsets"], sections["key_slots"], FIRST_CODE)


@settings(max_examples=150, deadline=None)
@given(ids, st.data())
def test_everybody_is_found_after_every_step(users: set[str], data: st.DataObject) -> None:
    """By those who were there before as well, who do not know of the others."""
    left = sorted(users, key=lambda user: zlib.crc32(user.encode()))  # in no order of their text
    seen = [(NewerUsers.none(FIRST_CODE), list[str]())]
    while left:
        count = data.draw(st.integers(1, len(left)))
        before, names = data.draw(st.sampled_from(seen[-2:]))
        seen.append((before.followed_by(new(left[:count])), names + left[:count]))
        left = left[count:]
    for each, names in seen:
        see(each, names)
        see(NewerUsers.read(written(each)).followed_by(new(["later"])), [*names, "later"])


@given(st.integers(0, 8), st.integers(1, 40))
def test_some_become_part_of_the_base(gone: int, later: int) -> None:
    """The others are numbered from its end, and go on growing without touching what was there."""
    names = [f"user {n}" for n in range(8)]
    before = NewerUsers.none(FIRST_CODE).followed_by(new(names))
    after = before.behind(gone, FIRST_CODE)
    see(after, names[gone:])
    more = [f"later {n}" for n in range(later)]
    see(after.followed_by(new(more)), names[gone:] + more)
    see(before, names)


def colliding(count: int) -> list[str]:
    """Give different ids of one length whose keys have one CRC-32."""
    zeros = bytearray(b"0" * 64)

    def without(at: int) -> int:
        other = zeros.copy()
        other[at] = ord("1")
        return zlib.crc32(zeros) ^ zlib.crc32(other)

    basis: dict[int, tuple[int, int]] = {}
    neutral = []
    for place in range(64):
        value, places = without(place), 1 << place
        while value and value.bit_length() in basis:
            other, others = basis[value.bit_length()]
            value, places = value ^ other, places ^ others
        if value:
            basis[value.bit_length()] = value, places
        else:
            neutral.append(places)
    return [*combined(neutral, count)]


def combined(neutral: Sequence[int], count: int) -> Iterator[str]:
    """Flip sets of places none of which changes the CRC."""
    for number in range(count):
        flipped = 0
        for bit, places in enumerate(neutral):
            flipped ^= places * (number >> bit & 1)
        yield "".join(str(flipped >> place & 1) for place in range(64))


def test_ids_chosen_to_collide_are_found_all_the_same() -> None:
    """However many would take the same slot, and whoever else takes one behind it."""
    hostile = colliding(200)
    assert len({zlib.crc32(user.encode()) for user in hostile}) == 1
    others = [f"user {n}" for n in range(300)]
    users = NewerUsers.none(FIRST_CODE).followed_by(new(others[:200]))
    for batch in (hostile[:100], others[200:], hostile[100:]):
        users = users.followed_by(new(batch))
    see(users, others[:200] + hostile[:100] + others[200:] + hostile[100:])


def test_a_table_without_room_at_its_end_is_laid_out_anew() -> None:
    """Those whose first place is the last one need room behind it."""
    names = [f"user {n}" for n in range(100_000)]
    last = [each for each in names if zlib.crc32(each.encode() + tail_of(7)) >> 22 == 1_023]
    users = NewerUsers.of(DictionaryColumns.of(last[:1], 7), FIRST_CODE)
    for name in last[1:]:
        users = users.followed_by(new([name]))
    see(users, last)


def test_more_keys_than_slots_can_tell_are_refused() -> None:
    """Also where the table has room: a slot's number would begin from 0 again."""
    some = NewerUsers.none(FIRST_CODE).followed_by(new(["a", "b", "c", "d", "e"]))
    words = np.broadcast_to(np.uint64(0), (1 << 31) - 2)
    with pytest.raises(ValueError, match="6 users are more than one index can hold"):
        replace(some, words=Growing(words)).followed_by(new(["f"]))
