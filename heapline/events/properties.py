"""Event properties: any nesting made flat, and written as canonical JSON (RFC 8785).

Whatever a source puts into its properties can be written: what JSON cannot say is repaired, never
refused. NaN and infinities become text, lone surrogates U+FFFD, keys text, integers beyond 2^53
the nearest double (RFC 8785 deals in IEEE 754 doubles), and what is nested deeper than
`DEEPEST_LEVEL` the text `TOO_DEEP`. Only sheer size is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson
import rfc8785

from heapline.events.refusals import Refusal, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

DEEPEST_LEVEL: Final = 100
"""Levels of objects, and again levels of arrays, that are followed."""
TOO_DEEP: Final = "(nested too deeply)"
"""Stands for what lies deeper."""
SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer every reader of JSON keeps exactly (RFC 8785, I-JSON)."""
MOST_WORK: Final = 2 * 1024 * 1024
"""Characters of keys and members of arrays worked on for one event. No record that fits its topic
needs so many; a few shared references can stand for billions."""
_PLAIN_FROM: Final = 1e-5
"""Smaller fractions are written by orjson in another notation than RFC 8785 wants."""
_NEVER_NESTED: Final = frozenset({str, int, float, bool, list, type(None)})
_LAST_OF_BMP: Final = "\uffff"


class _Work:
    """What may still be done for one event."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_WORK

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise refuse(
                Refusal.TOO_LARGE, "the properties are too large: leave out what Heap need not know"
            )


def flatten(*objects: Mapping[Any, Any]) -> dict[str, Any]:
    """Give the same properties without nested objects: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.

    Arrays are values and stay as they are; an object without members vanishes. Where two ways lead
    to one key, the one with the shorter key at the object where they part wins, so nested wins
    over dotted whatever the order. Flattening twice changes nothing. Of several objects, made one,
    the later win.

    Raises:
        InvalidEvent: `too_large`, for more than `MOST_WORK`.
    """
    flat: dict[str, Any] = {}
    work = _Work()
    for properties in objects:
        _flatten_into(flat, properties, "", DEEPEST_LEVEL, work)
    return flat


def canonical_json(properties: Mapping[Any, Any]) -> str:
    """Write properties as RFC 8785 does, after the repairs named above; ASCII is not forced.

    Raises:
        InvalidEvent: `too_large`, for more than `MOST_WORK`.
    """
    text = _sorted_json(properties) if _are_plain(properties) else None
    if text is not None:
        return text
    return rfc8785.dumps(_repaired(properties, 0, _Work())).decode("utf-8")


def text_of(value: object) -> str:
    """Give any value as text that UTF-8 can carry; lone surrogates become U+FFFD."""
    text = value if isinstance(value, str) else _written(value)
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _flatten_into(
    flat: dict[str, Any], level: Mapping[Any, Any], prefix: str, depth: int, work: _Work
) -> None:
    for key, value in _in_order(level, prefix, work):
        path = prefix + key if prefix else key
        if type(value) in _NEVER_NESTED or not isinstance(value, Mapping):
            flat[path] = value
        elif depth == 0:
            flat[path] = TOO_DEEP
        else:
            _flatten_into(flat, value, path + ".", depth - 1, work)


def _in_order(level: Mapping[Any, Any], prefix: str, work: _Work) -> Iterable[tuple[str, Any]]:
    """Give an object's members with text keys, in such an order that the last one written wins."""
    try:
        keys = "".join(level)
        is_simple = keys.isascii() and "." not in keys
    except TypeError:  # a key that is no text
        keys, is_simple = "", False
    work.charge(len(keys) + len(level) * (len(prefix) + 1))
    return level.items() if is_simple else _sorted_members(level)


def _sorted_members(level: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    members = [(text_of(key), key, value) for key, value in level.items()]
    # Of two keys that meet, one is longer by a dotted rest: it goes first. A key that is text
    # already wins over one made into the same text.
    members.sort(key=lambda m: (-len(m[0]), isinstance(m[1], str) and m[0] == m[1]))
    return [(text, value) for text, _, value in members]


def _are_plain(properties: Mapping[Any, Any]) -> bool:
    work = _Work()
    for key, value in properties.items():
        kind = type(value)
        if type(key) is not str:
            return False
        if kind is not str and kind is not bool and not _is_plain(value, 0, work):
            return False
    return True


def _is_plain(value: Any, depth: int, work: _Work) -> bool:  # noqa: ANN401 -- any value
    """Tell whether orjson writes the value as RFC 8785 wants it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-SAFE_INTEGER <= value <= SAFE_INTEGER)
    if kind is float:
        return bool(not value.is_integer() and _PLAIN_FROM <= abs(value) < SAFE_INTEGER)
    if kind is not list or depth >= DEEPEST_LEVEL:
        return False
    work.charge(len(value))
    return all(_is_plain(item, depth + 1, work) for item in value)


def _sorted_json(plain: Mapping[str, Any]) -> str | None:
    """Write plain properties fast, or give None where their keys sort differently or are broken."""
    try:
        written = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a lone surrogate
        return None
    # RFC 8785 sorts by UTF-16 units, orjson by code points: they differ beyond the BMP only.
    if not written.isascii() and any(key and max(key) > _LAST_OF_BMP for key in plain):
        return None
    return written.decode("utf-8")


def _repaired(value: Any, depth: int, work: _Work) -> Any:  # noqa: ANN401 -- any value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, Mapping | list | tuple | AbstractSet):
        if depth > DEEPEST_LEVEL:
            return TOO_DEEP
        work.charge(len(value))
        return _container(value, depth + 1, work)
    return text_of(value)


def _container(value: Any, depth: int, work: _Work) -> Any:  # noqa: ANN401 -- any container
    if isinstance(value, Mapping):
        return {key: _repaired(item, depth, work) for key, item in _in_order(value, "", work)}
    items = [_repaired(item, depth, work) for item in value]
    # A set has another order in every process; its event must not have another id.
    return sorted(items, key=rfc8785.dumps) if isinstance(value, AbstractSet) else items


def _number(value: float | Decimal) -> float | str:
    try:
        if isinstance(value, int) and -SAFE_INTEGER <= value <= SAFE_INTEGER:
            return int(value)
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling NaN
        number = math.nan
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _written(value: object) -> str:
    """Give the text of a value that is none; as JSON writes it, where JSON can."""
    try:
        if value is None or isinstance(value, bool):
            return str(value).lower().replace("none", "null")
        if isinstance(value, int):
            return str(int(value))
        if isinstance(value, float | Decimal):
            return str(rfc8785.dumps(_number(value)).decode().strip('"'))
        if isinstance(value, bytes | bytearray):
            return bytes(value).decode("utf-8", "replace")
        return value.isoformat() if isinstance(value, date) else str(value)
    except Exception:  # noqa: BLE001 -- a foreign __str__ may raise anything; no property may fail
        return f"({type(value).__name__})"
