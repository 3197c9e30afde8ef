"""Heap's rules for one event, written a second time, apart from what is tested."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


def utf16_units(text: str) -> int:
    """Count as JavaScript does, which is never less than counting code points."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def checked(body: bytes) -> dict[str, Any]:
    """Parse one event's body strictly and assert all that Heap's reference says about it."""
    document = json.loads(
        body.decode("utf-8"), parse_constant=_never, object_pairs_hook=_without_doubles
    )
    assert set(document) == {"identity", "event", "timestamp", "idempotency_key", "properties"}
    assert 0 < utf16_units(document["identity"]) <= 255
    assert 0 < utf16_units(document["event"]) <= 1024
    assert isinstance(document["idempotency_key"], str)
    assert document["idempotency_key"]
    assert ISO_8601.fullmatch(document["timestamp"])
    assert datetime.fromisoformat(document["timestamp"]).tzinfo == UTC
    for key, value in document["properties"].items():
        assert utf16_units(key) < 1024
        _check_value(value)
    return dict(document)


def _check_value(value: object) -> None:
    if isinstance(value, str):
        assert utf16_units(value) < 1024
        value.encode("utf-8")
        return
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    if isinstance(value, int):
        assert int(float(value)) == value
        assert abs(value) <= 2**53


def _never(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    assert len(members) == len(pairs)
    return members
