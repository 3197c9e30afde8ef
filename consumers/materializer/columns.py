"""Membership records read as columns, a thousand at a time, where they are as heapline writes them.

What is unusual is not judged here: a key with an escape, a header of others, a value that cannot be
read. Then nothing is given, and the records are read one by one (`decoding`). Both ways give the
same; a property test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, cast

import numpy as np

from heapline.heap.membership_record import AT, PAGE_END, SYNC
from state.payload import NO_SYNC
from state.user_ids import UserIds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from state.raw_changes import SegmentName

Headers = list[tuple[str, bytes]]
Told = tuple[int, str | None]
"""When a change was made, and by which sync."""
_UNUSUAL: Final = bytes({*range(0x20), ord("\\")} - {ord("\n")})
"""Bytes of which a key needs none: with them it may say something else than what stands there."""
_QUOTES: Final = 6
_AROUND: Final = len('["","')
"""Characters of a key besides its texts, on either side of the user."""
_QUOTE: Final = ord('"')
_ESCAPE: Final = ord("\\")
_LINE_END: Final = ord("\n")
_LEAST: Final = 0x20
"""Bytes below are control characters."""
_OWN: Final = ((AT,), (AT, SYNC), (AT, PAGE_END), (AT, SYNC, PAGE_END))
_LATER: Final = (0, None)
FURTHEST: Final = 1 << 62
"""Times beyond, in milliseconds, are nobody's."""
_T = TypeVar("_T", bound="Hashable")


class Keys(NamedTuple):
    """Keys taken apart; see `RawChanges`."""

    user: UserIds
    names: list[SegmentName]
    name: NDArray[np.int32]


def keys_in_columns(keys: Sequence[bytes | None]) -> Keys | None:
    """Take keys apart, all at once; None where one is not `["workspace","user","segment"]`."""
    try:
        joined = b"\n".join(cast("Sequence[bytes]", keys))
        if not joined.isascii():
            joined.decode()
    except (TypeError, UnicodeDecodeError):
        return None
    count = len(keys)
    found = _of_one_length(joined, count)
    if found is not None:
        return found
    # Without escapes every quote begins or ends a text, and a line end stands between two keys.
    if joined.count(b"\n") != count - 1 or len(joined.translate(None, _UNUSUAL)) != len(joined):
        return None
    return _of_one_segment(joined, count) or _of_any(joined.decode(), count)


def _of_one_length(joined: bytes, count: int) -> Keys | None:
    """Take keys apart that differ in their users only, all of one length, as UUIDs make them.

    As `_of_one_segment`, five times as quick: what they have in common is compared as columns.
    """
    width, rest = divmod(len(joined) + 1, count)
    ends = _ends_of(joined[: width - 1])
    if rest or ends is None:
        return None
    name, before, after = ends
    rows = np.frombuffer(joined + b"\n", np.uint8).reshape(count, width)
    users = rows[:, before : width - after]
    first = rows[0]
    alike = (
        (rows[:, :before] == first[:before]).all()
        and (rows[:, width - after - 1 :] == first[width - after - 1 :]).all()
        and not (users[:, :-1] == _QUOTE).any()
        and not (rows[:, :-1] < _LEAST).any()
        and not (rows == _ESCAPE).any()
    )
    return Keys(UserIds.of_rows(users), [name], np.zeros(count, np.int32)) if alike else None


def _of_one_segment(joined: bytes, count: int) -> Keys | None:
    """Take keys apart that differ in their users only, as neighbours mostly do: twice as quick."""
    ends = _ends_of(joined.partition(b"\n")[0])
    if ends is None or joined.count(b'"') != _QUOTES * count:
        return None
    name, before, after = ends
    head, tail = joined[:before], joined[len(joined) - after :]
    if not (joined.startswith(head) and joined.endswith(tail)):
        return None
    users = joined[before : len(joined) - after].replace(tail + b"\n" + head, b"\n") + b"\n"
    if len(users) != len(joined) + 1 - count * (before + after):
        return None
    text = np.frombuffer(users, np.uint8)
    return Keys(UserIds(text, np.flatnonzero(text == _LINE_END)), [name], np.zeros(count, np.int32))


def _ends_of(key: bytes) -> tuple[SegmentName, int, int] | None:
    """Give the workspace and segment a key names, and how long it is before and behind the user."""
    texts = key.split(b'"')
    if len(texts) != _QUOTES + 1 or texts[::2] != [b"[", b",", b",", b"]"]:
        return None
    return (texts[1].decode(), texts[5].decode()), len(texts[1]) + _AROUND, len(texts[5]) + _AROUND


def _of_any(text: str, count: int) -> Keys | None:
    parts = text.split('"')
    as_written = (
        len(parts) == _QUOTES * count + 1
        and parts[0] == "["
        and parts[-1] == "]"
        and parts[2::_QUOTES].count(",") == parts[4::_QUOTES].count(",") == count
        and parts[_QUOTES:-1:_QUOTES].count("]\n[") == count - 1
    )
    if not as_written:
        return None
    return Keys(
        UserIds.of(parts[3::_QUOTES]),
        *places_of(list(zip(parts[1::_QUOTES], parts[5::_QUOTES], strict=True))),
    )


def places_of(words: Sequence[_T]) -> tuple[list[_T], NDArray[np.int32]]:
    """Give the distinct words, and for each its place among them."""
    if words.count(words[0]) == len(words):  # thrice as quick, and the rule
        return [words[0]], np.zeros(len(words), np.int32)
    known = {word: place for place, word in enumerate(dict.fromkeys(words))}
    return list(known), np.fromiter(map(known.__getitem__, words), np.int32, len(words))


class Facts(NamedTuple):
    """What records say besides their keys; see `RawChanges`."""

    enters: NDArray[np.bool_]
    at_ms: NDArray[np.int64]
    syncs: list[str]
    sync: NDArray[np.int32]


def facts_in_columns(
    values: Sequence[bytes | None],
    read: Callable[[bytes], Told | None],
    headers: Callable[[int], Headers],
) -> Facts | None:
    """Read values, which neighbours mostly have the same; None where one cannot be.

    Args:
        values: the records', None for a leave, whose headers tell instead.
        read: reads a value, or gives None.
        headers: gives those of a record by its place.
    """
    words, places = places_of(values)
    told: list[Told] = []
    for word in words:
        found = _LATER if word is None else read(word)
        if found is None:
            return None
        told.append(found)
    enters = np.array([word is not None for word in words])[places]
    for place in np.flatnonzero(~enters).tolist():
        found = _told_by(headers(place))
        if found is None:
            return None
        places[place] = len(told)
        told.append(found)
    return _facts(enters, told, places)


def _told_by(headers: Headers) -> Told | None:
    """Read what heapline's own headers say; None where others stand among them."""
    if tuple(name for name, _ in headers) not in _OWN:
        return None
    try:
        at_ms = int(headers[0][1])
        sync = headers[1][1].decode() if len(headers) > 1 and headers[1][0] == SYNC else None
    except (ValueError, TypeError, AttributeError):  # no header need have a value
        return None
    return at_ms, sync


def ends_page(headers: Headers) -> bool:
    """It comes last where heapline wrote the record; others may have added theirs."""
    return any(name == PAGE_END for name, _ in reversed(headers))


def _facts(enters: NDArray[np.bool_], told: list[Told], places: NDArray[np.int32]) -> Facts | None:
    if not all(-FURTHEST < at_ms < FURTHEST for at_ms, _ in told):
        return None
    syncs = list(dict.fromkeys(sync for _, sync in told if sync is not None))
    codes: dict[str | None, int] = {sync: code for code, sync in enumerate(syncs)}
    sync = np.array([codes.get(each, NO_SYNC) for _, each in told], np.int32)
    at_ms = np.array([each for each, _ in told], np.int64)
    return Facts(enters, at_ms[places], syncs, sync[places])
