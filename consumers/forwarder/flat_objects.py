"""Which texts are surely one flat JSON object, written without a byte too many; for many at once.

A text is taken apart at its quotation marks: without escapes they open and close strings by turns,
and what stands between two strings tells what they are. So no text is parsed, and none costs a
step of its own. Sound, not complete: escapes, `true`, `false`, `null`, unusual numbers, long texts
and whatever else is rare is not recognised. Two keys of one object that begin and end alike may be
taken for one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from consumers.forwarder.heap_properties import MAX_CHARACTERS, USER_PROPERTIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Integers = NDArray[np.int64]
    Truths = NDArray[np.bool_]
    Words = NDArray[np.uint64]

WHOLE: Final = r"0|-?[1-9][0-9]{0,14}"
DECIMAL: Final = r"-?(?:0|[1-9][0-9]{0,5})\.(?:0|[0-9]{0,2}[1-9]|[1-9][0-9]{0,7}[1-9])"
"""At most 15 digits, which a double keeps, so that the shortest way to write it is this one."""
_NUMBER: Final = re.compile(f"(?:{WHOLE}|{DECIMAL})".encode())
_WORD_BYTES: Final = 8
_NUMBER_BYTES: Final = 2 * _WORD_BYTES
SPARE_BYTES: Final = _NUMBER_BYTES
"""What is read is read in words, the last of which may reach behind the end."""
_AT_ONCE: Final = 2_000
"""So few that what is reckoned about their strings stays in the processor's cache."""
_QUOTE, _COMMA, _COLON, _ESCAPE, _OPEN, _CLOSE = b'",:\\{}'
_SPACE: Final = 0x20
"""Control characters come before it."""
_FIRST_BYTES: Final = np.array([(1 << 8 * n) - 1 for n in range(_WORD_BYTES + 1)], np.uint64)
_LAST_BYTES: Final = ~_FIRST_BYTES[::-1]
"""Of a word, by how many of them are kept."""
_FORBIDDEN_WORD: Final = np.frombuffer(USER_PROPERTIES.encode()[:_WORD_BYTES], np.uint64)[0]
_MIX: Final = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
"""Odd, so that multiplying by them loses nothing."""


def flat_objects(data: bytes, starts: Integers, ends: Integers) -> Truths:
    """Tell which texts are recognised.

    Args:
        data: what they stand in, as UTF-8, with at least `SPARE_BYTES` behind the last.
        starts: of each, in bytes, ascending.
        ends: likewise.
    """
    blocks = [np.zeros(0, np.bool_)]
    for first in range(0, len(starts), _AT_ONCE):
        block = slice(first, first + _AT_ONCE)
        begin = max(0, int(starts[first]) - _WORD_BYTES)
        some = data[begin : int(ends[block][-1]) + SPARE_BYTES]
        if not begin:  # words are read that end with a string, too
            some, begin = bytes(_WORD_BYTES) + some, -_WORD_BYTES
        blocks.append(_recognised(some, starts[block] - begin, ends[block] - begin))
    return np.concatenate(blocks)


def _recognised(data: bytes, starts: Integers, ends: Integers) -> Truths:
    every = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(every == _QUOTE)
    first, end = np.searchsorted(quotes, starts), np.searchsorted(quotes, ends)
    counts = end - first
    good: Truths = (counts > 0) & (counts % 2 == 0) & _without_escapes(data, every, starts, ends)
    rows = np.flatnonzero(good)
    if not len(rows):
        return good
    first, counts = first[rows], counts[rows]
    before = np.cumsum(counts) - counts
    if counts.sum() < len(quotes):
        inside = np.repeat(first - before, counts)
        inside += np.arange(len(inside))
        quotes = quotes[inside]
    strings = _Strings(data, quotes, before // 2, starts[rows], ends[rows])
    good[rows] = strings.objects()
    return good


def _without_escapes(data: bytes, every: Bytes, starts: Integers, ends: Integers) -> Truths:
    """Tell which texts have neither an escape nor a control character."""
    between = np.column_stack([starts, ends]).ravel()
    good: Truths = np.minimum.reduceat(every, between)[::2] >= _SPACE
    if b"\\" in data:
        escapes = np.flatnonzero(every == _ESCAPE)
        good &= np.searchsorted(escapes, starts) == np.searchsorted(escapes, ends)
    return good


class _Strings:
    """The strings in many texts, each of which has at least one.

    Args:
        data: as above.
        quotes: where the marks stand that open and close strings.
        first: each text's first string.
        starts, ends: of each text.
    """

    def __init__(
        self, data: bytes, quotes: Integers, first: Integers, starts: Integers, ends: Integers
    ) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._every = np.ndarray((len(data) - _WORD_BYTES + 1,), np.uint64, data, 0, (1,))
        """The eight bytes from each place on."""
        self._starts, self._ends, self._first = starts, ends, first
        self._opens, self._closes = np.ascontiguousarray(quotes.reshape(-1, 2).T)
        self._last = np.append(first[1:], len(self._opens)) - 1
        self._row = np.repeat(np.arange(len(first)), self._last - first + 1)
        self._size = self._closes - self._opens - 1
        self._behind = self._data[self._closes + 1]
        self._next = np.append(self._opens[1:], 0)
        """Where the next string of the same text opens, or the text ends."""
        self._next[self._last] = self._ends
        self._gap = self._next - self._closes - 1
        self._is_key = self._behind == _COLON
        self._has_text = self._is_key & (self._gap == 1)
        self._has_text[self._last] = False
        self._numbers = np.flatnonzero(self._is_key & ~self._has_text)
        """Keys with something behind the colon that is no text."""

    def objects(self) -> Truths:
        """Tell which texts are recognised."""
        good: Truths = (self._data[self._starts] == _OPEN) & self._is_key[self._first]
        good &= self._opens[self._first] == self._starts + 1
        for bad in (self._misplaced(), self._odd_numbers(), self._doubtful_keys()):
            good[self._row[bad]] = False
        return good

    def _misplaced(self) -> Integers:
        """Find strings that do not stand as a key or a text does, and long ones."""
        behind = self._behind.copy()
        behind[self._numbers] = self._data[self._next[self._numbers] - 1]
        ends_well = behind == _COMMA
        ends_well[self._last] = behind[self._last] == _CLOSE
        is_near = self._gap == 1
        is_near[self._numbers] = self._gap[self._numbers] > len(":,")
        key_follows = np.append(self._is_key[1:], True)
        key_follows[self._last] = True
        good: Truths = self._has_text | (ends_well & is_near)
        good &= key_follows != self._has_text
        good &= self._size <= MAX_CHARACTERS
        return np.flatnonzero(~good)

    def _odd_numbers(self) -> Integers:
        """Find keys with something behind the colon that is neither text nor a plain number."""
        keys: Integers = self._numbers
        begin, size = self._closes[keys] + 2, self._gap[keys] - 2
        words = np.empty((len(keys), 2), np.uint64)
        words[:, 0] = self._word(begin, size)
        words[:, 1] = self._word(begin + _WORD_BYTES, size - _WORD_BYTES)
        written: list[bytes] = words.view(f"S{_NUMBER_BYTES}").ravel().tolist()
        odd = {each for each in set(written) if not _NUMBER.fullmatch(each)}
        bad: Truths = size > _NUMBER_BYTES
        if odd:
            bad |= np.fromiter((each in odd for each in written), np.bool_, len(keys))
        found: Integers = keys[bad]
        return found

    def _doubtful_keys(self) -> Integers:
        """Find keys that may stand twice in their text, and such as may not pass."""
        keys = np.flatnonzero(self._is_key)
        doubtful = self._alike(keys, self._ends_of(keys))
        if len(doubtful):
            doubtful = self._alike(doubtful, self._beginnings(doubtful))
        long = keys[self._size[keys] >= len(USER_PROPERTIES)]
        forbidden = long[self._beginnings(long) == _FORBIDDEN_WORD]
        found: Integers = np.append(doubtful, forbidden)
        return found

    def _alike(self, keys: Integers, words: Words) -> Integers:
        """Give those with the same text, size and word as another, or what looks like that."""
        mixed = words * _MIX[0]
        mixed += (self._row[keys] << 16 | self._size[keys]).astype(np.uint64) * _MIX[1]
        short = (mixed >> np.uint64(32)).astype(np.uint32)
        ordered = np.sort(short)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        return keys[np.isin(short, twice)] if len(twice) else keys[:0]

    def _ends_of(self, strings: Integers) -> Words:
        """Read the last eight bytes of each, those before its beginning as zeros."""
        words: Words = self._every[self._closes[strings] - _WORD_BYTES]
        words &= _LAST_BYTES.take(self._size[strings], mode="clip")
        return words

    def _beginnings(self, strings: Integers) -> Words:
        return self._word(self._opens[strings] + 1, self._size[strings])

    def _word(self, begin: Integers, size: Integers) -> Words:
        """Read up to eight bytes from each place, those beyond its size as zeros."""
        words: Words = self._every[begin]
        words &= _FIRST_BYTES.take(size, mode="clip")
        return words
