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
_OWN: Final = ((AT,), (AT, SYNC), (AT, PAGE_END), (AT, SYNC, PAGE_END))
_LATER: Final = (0, None)
FURTHEST: Final = 1 << 62
"""Times beyond, in milliseconds, are nobody's."""
_T = TypeVar("_T", bound="Hashable")


class Keys(NamedTuple):
    """Keys taken apart; see `RawChanges`."""

    user: list[str]
    names: list[SegmentName]
    name: NDArray[np.int32]


def keys_in_columns(keys: Sequence[bytes | None]) -> Keys | None:
    """Take keys apart, all at once; None where one is not `["workspace","user","segment"]`."""
    try:
        joined = b"\n".join(cast("Sequence[bytes]", keys))
        text = joined.decode()
    except (TypeError, UnicodeDecodeError):
        return None
    count = len(keys)
    # Without escapes every quote begins or ends a text, and a line end stands between two keys.
    if joined.count(b"\n") != count - 1 or len(joined.translate(None, _UNUSUAL)) != len(joined):
        return None
    return _of_one_segment(text, count) or _of_any(text, count)


def _of_one_segment(text: str, count: int) -> Keys | None:
    """Take keys apart that differ in their users only, as neighbours mostly do: twice as quick."""
    first = text.split('"', _QUOTES)
    if len(first) <= _QUOTES or text.count('"') != _QUOTES * count:
        return None
    before, after = f'["{first[1]}","', f'","{first[5]}"]'
    if not (text.startswith(before) and text.endswith(after)):
        return None
    users = text[len(before) : -len(after)].split(f"{after}\n{before}")
    if len(users) != count:
        return None
    return Keys(users, [(first[1], first[5])], np.zeros(count, np.int32))


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
    return Keys(parts[3::_QUOTES], *_names(parts[1::_QUOTES], parts[5::_QUOTES]))


def _names(
    workspaces: list[str], segments: list[str]
) -> tuple[list[SegmentName], NDArray[np.int32]]:
    count = len(workspaces)
    if workspaces.count(workspaces[0]) == segments.count(segments[0]) == count:
        return [(workspaces[0], segments[0])], np.zeros(count, np.int32)
    return places_of(list(zip(workspaces, segments, strict=True)))


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
