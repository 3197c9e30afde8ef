"""How deep JSON may be nested."""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 110
"""Objects and arrays nested deeper are refused: parsers differ in how deep they can go, and the
answer for one event must not depend on the stack it is asked on. heapline's own publisher writes no
more than 101."""


def nested_within(depth: int, value: object) -> bool:
    """Tell whether a parsed value has at most so many objects and arrays inside one another."""
    if isinstance(value, dict):
        return depth > 0 and all(nested_within(depth - 1, item) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(nested_within(depth - 1, item) for item in value)
    return True
