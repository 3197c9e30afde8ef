"""The rows of users beside their keys; see `heapline.memberships.base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from heapline.memberships.base import beside_lengths, beside_words
from heapline.memberships.dictionary import DictionaryColumns
from heapline.memberships.keys import WORD_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heapline.memberships.base import Base

_LINE_WORDS: Final = 8
"""So many words come from memory at once: a cache line."""
_MOST_PADDING: Final = 0.25
"""Of the words there are without it."""
_PADDING: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""The last word of padding; no key has such a word."""
_BLOCK: Final = 1 << 16
"""So many users at a time: what is made of them on the way stays in the cache."""


def with_rows(
    users: DictionaryColumns, rows: NDArray[np.uint8], lengths: NDArray[np.integer]
) -> DictionaryColumns:
    """Write the row of every user before the word of the user's code.

    Before the rows stands padding so that each user ends with a cache line, unless that makes them
    much longer. So a look-up of one that is short enough waits for one line of memory, not for two.

    Args:
        users: without rows.
        rows: codes of segments, user after user.
        lengths: how many each has.
    """
    if not len(users):
        return users
    beside = beside_lengths(lengths)
    if beside.sum() != rows.size:
        rows = rows[np.repeat(beside == lengths, lengths)]
    taken = beside_words(beside)
    padding = _padding(taken + np.diff(users.offsets))
    begins = users.offsets[:-1].astype(np.int64) + np.cumsum(taken + padding)
    ends = (begins - taken)[padding > 0]
    taken += padding
    words = np.zeros(users.words.size + int(taken.sum()), np.uint64)
    words[~_in_rows(begins, taken, words.size)] = users.words
    words[ends - 1] = _PADDING
    _put(words.view(np.uint8), WORD_BYTES * begins - 1, rows, beside)
    offsets = np.append(begins, words.size).astype(np.uint32)
    return DictionaryColumns(words, offsets, users.entries)


def without_rows(base: Base) -> DictionaryColumns:
    """Give the users of a base as they were before."""
    users = base.dictionary.columns()
    if not base.rows_beside or not len(users):
        return users
    taken = beside_words(beside_lengths(base.row_lengths))
    taken += _padding_before(users.offsets[:-1] - taken, users.words)
    words = users.words[~_in_rows(users.offsets[:-1], taken, users.words.size)]
    offsets = users.offsets - np.append(np.cumsum(taken), taken.sum())
    return DictionaryColumns(words, offsets.astype(np.uint32), users.entries)


def _padding(words: NDArray[np.integer]) -> NDArray[np.int64]:
    """Tell how many words to put before users of so many, with their rows."""
    padding = -words.astype(np.int64) % _LINE_WORDS
    return padding if padding.sum() <= _MOST_PADDING * words.sum() else np.zeros_like(padding)


def _padding_before(begins: NDArray[np.integer], words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Tell how many words of padding end where rows begin."""
    are_padded = words.take(begins - 1, mode="clip") == _PADDING
    return np.where(are_padded, begins % _LINE_WORDS, 0)


def _in_rows(
    begins: NDArray[np.integer], taken: NDArray[np.int64], words: int
) -> NDArray[np.bool_]:
    """Tell which words are taken by rows, of which each ends where its user begins."""
    steps = np.zeros(words, np.int8)
    steps[begins - taken] = 1
    steps[begins] = -1
    return np.cumsum(steps, dtype=np.int8).view(np.bool_)


def _put(
    text: NDArray[np.uint8],
    places: NDArray[np.int64],
    rows: NDArray[np.uint8],
    lengths: NDArray[np.int64],
) -> None:
    """Write the length of each row in its place, and the row before it."""
    text[places] = lengths
    ends = np.cumsum(lengths)
    for begin in range(0, lengths.size, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        first, last = int(ends[begin] - lengths[begin]), int(ends[block][-1])
        to_row = np.repeat(places[block] - ends[block], lengths[block])
        text[to_row + np.arange(first, last)] = rows[first:last]
