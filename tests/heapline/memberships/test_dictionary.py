"""Many users found at once, as each is found alone."""

from __future__ import annotations

import itertools
import random
import zlib

import numpy as np
import pytest

from heapline.memberships.dictionary import NOBODY, Dictionary, DictionaryColumns, shift_for
from heapline.memberships.keys import LONG_BYTES, key_groups, tail_of

_WORKSPACE = 3
_FIRST_CODE = 100


@pytest.mark.parametrize("count", [1, 2, 3_000])
@pytest.mark.parametrize("lengths", [*((each,) for each in range(4, LONG_BYTES, 3)), (5, 20, 33)])
def test_a_column_is_found_as_each_user_is(lengths: tuple[int, ...], count: int) -> None:
    """Of one length, for some of which all keys end with half a line of the cache, or of several.

    Three thousand users are more than have a place of their own: the search for some goes on.
    """
    chance = random.Random(count)
    sizes = itertools.cycle(lengths)
    made = (f"{chance.getrandbits(250):063x}"[-next(sizes) :] for _ in range(2 * count))
    ids = list(dict.fromkeys(made))
    known = ids[: len(ids) // 2] or ids
    dictionary = Dictionary.in_memory(DictionaryColumns.of(known, _WORKSPACE), _FIRST_CODE)
    asked = chance.sample(ids, len(ids))
    codes = {user: _FIRST_CODE + code for code, user in enumerate(known)}
    expected = [codes.get(user, NOBODY) for user in asked]
    assert dictionary.find_many(key_groups(asked, _WORKSPACE), len(asked)).tolist() == expected
    assert [dictionary.find(user.encode() + tail_of(_WORKSPACE)) for user in asked] == expected
    others = dictionary.find_many(key_groups(known, _WORKSPACE + 1), len(known))
    assert set(others.tolist()) == {NOBODY}


def test_nobody_is_found_in_what_stands_before_a_user() -> None:
    """Whose slot is theirs, where the words before it happen to be their key's."""
    stranger = "a" * 20
    (asked,) = key_groups([stranger], _WORKSPACE)
    top = int(asked.hashes[0]) >> shift_for(1)
    names = (f"u{number}" for number in itertools.count())
    user = next(each for each in names if _hash(each) >> shift_for(1) == top)
    (known,) = key_groups([user], _WORKSPACE)
    words = np.concatenate(
        [np.zeros(1, np.uint64), asked.words[0], known.hashes.astype(np.uint64), known.words[0]]
    )
    slots = np.zeros(8, np.uint32)
    slots[top] = 2 * 4 + 1
    offsets = np.array([4, words.size], np.uint32)
    dictionary = Dictionary(words.tobytes(), 0, offsets, slots, _FIRST_CODE)
    found = dictionary.find_many(key_groups([stranger, user], _WORKSPACE), 2)
    assert found.tolist() == [NOBODY, _FIRST_CODE]


def _hash(user: str) -> int:
    return zlib.crc32(user.encode() + tail_of(_WORKSPACE))
