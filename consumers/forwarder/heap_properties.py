"""An event's properties as Heap takes them: one flat object of texts and numbers.

Heap's rules (Heap, Track reference): keys and texts of fewer than 1024 characters, values that are
numbers or texts, nothing nested. What a "character" is, is not said; the strictest likely reading
is taken, UTF-16 units, so that no reading finds a text too long.

| in the event | at Heap |
|---|---|
| text | the text, cut at 1,023 characters |
| whole number beyond 2^53 | text: as a JSON number it would lose digits |
| NaN, Infinity | text |
| true, false | text `true`, `false` |
| null, empty array, empty object | nothing |
| object | its members, keys joined with dots; it wins over a key that is written with dots |
| array of texts, numbers, truths | one text joined with `||`, nulls left out |
| array with objects or arrays | its JSON text |
| half a surrogate pair | U+FFFD |
| key of more than 1,023 characters | cut; of keys equal after cutting the later wins |

`end_user_properties` never pass. Flat objects of scalars and arrays of texts, which is nearly all
of them, take a short path; everything else an exact one on the standard library's parser, which
keeps the digits of huge numbers and reads NaN. Both give the same for what both can read.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from consumers.forwarder.json_nesting import MAX_DEPTH, nested_within
from heapline.errors import InvalidEvent, Undeliverable
from heapline.events.properties import flatten
from heapline.outcomes import DeadLetterReason

if TYPE_CHECKING:
    from consumers.forwarder.blocked_text import BlockedText

HeapProperties = dict[str, str | int | float]

MAX_CHARACTERS: Final = 1023
"""Of a key or a text (Heap, Track reference: "fewer than 1024 characters")."""
MAX_EXACT_INTEGER: Final = 2**53
"""Beyond it a double, which is what JSON numbers are to Heap, cannot hold every whole number."""

_SURELY_SHORT: Final = MAX_CHARACTERS // 2
_BEYOND_INTEGERS: Final = 2.0**63
"""From here on orjson reads whole numbers as floats and loses their digits."""
_MAX_DIGITS: Final = 4000
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
USER_PROPERTIES: Final = "end_user_properties"


def heap_properties(
    text: str, event_name: str = "", blocked: BlockedText | None = None
) -> HeapProperties:
    """Make Heap's properties from the text of a JSON object; no text at all means none.

    Raises:
        Undeliverable: `invalid_properties` when the text is no JSON object or nested too deeply;
            `too_large` when its keys, written out with dots, grow past all bounds.
    """
    short = _short_path(text, event_name, blocked)
    if short is not None:
        return short
    document = _document(text)
    return _mapped(_flat(blocked.without(event_name, document) if blocked else document))


def cut(text: str) -> str:
    """Cut a text at 1,023 characters, counted in UTF-16 units, never inside a surrogate pair."""
    if len(text) <= _SURELY_SHORT:
        return text
    if text.isascii():
        return text[:MAX_CHARACTERS]
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * MAX_CHARACTERS]
    return units.decode("utf-16-le", "ignore")


def characters(text: str) -> int:
    """Count a text's characters in UTF-16 units, the strictest likely reading of Heap's limits."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _short_path(text: str, event_name: str, blocked: BlockedText | None) -> HeapProperties | None:
    """Map flat properties; None for whatever needs the exact path."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if type(document) is not dict or USER_PROPERTIES in text:
        return None
    if blocked is not None or dict in map(type, document.values()):
        if not nested_within(MAX_DEPTH, document):
            return None
        document = _flat(blocked.without(event_name, document) if blocked else document)
    return _short_values(document)


def _short_values(document: dict[str, Any]) -> HeapProperties | None:
    properties: HeapProperties = {}
    for key, value in document.items():
        if len(key) > _SURELY_SHORT:
            return None
        if type(value) is str and len(value) <= _SURELY_SHORT:
            properties[key] = value
        elif value is not None and value != []:
            mapped = _short_value(value)
            if mapped is None:
                return None
            properties[key] = mapped
    return properties


def _short_value(value: Any) -> str | int | float | None:  # noqa: ANN401 -- any JSON
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, float):
        return value if abs(value) < _BEYOND_INTEGERS else None
    if isinstance(value, int):
        return _scalar(value)
    if isinstance(value, list) and all(type(item) is str for item in value):
        return cut("||".join(value))
    return None


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_int=_integer) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _invalid("are not JSON") from error
    if not isinstance(document, dict):
        raise _invalid("are not a JSON object")
    if not nested_within(MAX_DEPTH, document):
        raise _invalid(f"are nested deeper than {MAX_DEPTH}")
    document.pop(USER_PROPERTIES, None)
    return {k: v for k, v in document.items() if not k.startswith(f"{USER_PROPERTIES}.")}


def _invalid(what: str) -> Undeliverable:
    return Undeliverable(DeadLetterReason.INVALID_PROPERTIES, f"the properties {what}")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    try:
        return flatten(document)
    except InvalidEvent as error:
        raise Undeliverable(DeadLetterReason.TOO_LARGE, str(error)) from error


def _mapped(flat: dict[str, Any]) -> HeapProperties:
    values = ((key, _leaf(value)) for key, value in flat.items())
    return {_text(key): value for key, value in values if value is not None}


def _leaf(value: Any) -> str | int | float | None:  # noqa: ANN401 -- any JSON but objects
    if value is None:
        return None
    if not isinstance(value, list):
        mapped = _scalar(value)
        return _text(mapped) if isinstance(mapped, str) else mapped
    if any(isinstance(item, dict | list) for item in value):
        return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    items = [str(_scalar(item)) for item in value if item is not None]
    return _text("||".join(items)) if items else None


def _scalar(value: str | float) -> str | int | float:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value if abs(value) <= MAX_EXACT_INTEGER else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def _text(text: str) -> str:
    return cut(_LONE_SURROGATE.sub("\ufffd", text))
