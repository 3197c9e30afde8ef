"""What Heap's contract allows in the body of `POST /api/track`.

Source: Heap, Track and Bulk Track reference. Where the contract is silent the stricter reading is
taken, because a simulator that is kinder than Heap hides mistakes. Each check answers the name of
the broken rule, or None.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devstack.heap_simulator.sliding_window import Subject

MAX_EVENT_NAME_CHARACTERS = 1024
"""`event`: "Limited to 1024 characters"."""

MAX_IDENTITY_CHARACTERS = 255
"""`identity`: "limited to 255 characters"."""

MAX_PROPERTY_CHARACTERS = 1023
"""Property keys and texts: "fewer than 1024 characters"."""

MAX_USER_ID = 2**53 - 1
"""`user_id`: "a number between zero and 2^53 - 1"."""

_USER_ID = re.compile(r"(0|[1-9][0-9]{0,15})")
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)


def broken_envelope(document: object, *, events_per_request: int) -> str | None:
    """The first rule that the request as a whole breaks."""
    if not isinstance(document, dict):
        return "body_not_a_json_object"
    if not _is_text(document.get("app_id")):
        return "app_id_missing"
    if "events" not in document:
        return None
    if "event" in document:
        return "both_event_and_events"
    events = document["events"]
    if not isinstance(events, list) or not events:
        return "events_not_a_filled_array"
    return "too_many_events" if len(events) > events_per_request else None


def events_of(document: dict[str, Any]) -> list[Any]:
    """The events of a bulk request, or the one event of a single request."""
    events: list[Any] = document.get("events", [document])
    return events


def subject_of(event: dict[str, Any]) -> Subject:
    """Whose event a valid event is."""
    return event["identity"] if "identity" in event else int(event["user_id"])


def broken_event(event: object) -> str | None:
    """The first rule that one event breaks."""
    if not isinstance(event, dict):
        return "event_not_an_object"
    return (
        _broken_name(event)
        or _broken_subject(event)
        or _broken_texts(event)
        or _broken_timestamp(event)
        or _broken_properties(event)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _broken_name(event: dict[str, Any]) -> str | None:
    name = event.get("event")
    if not isinstance(name, str) or name == "":
        return "event_name_missing"
    return "event_name_too_long" if len(name) > MAX_EVENT_NAME_CHARACTERS else None


def _broken_subject(event: dict[str, Any]) -> str | None:
    if ("identity" in event) == ("user_id" in event):
        return "not_exactly_one_of_identity_and_user_id"
    return _broken_identity(event) if "identity" in event else _broken_user_id(event)


def _broken_identity(event: dict[str, Any]) -> str | None:
    identity = event["identity"]
    if not _is_text(identity):
        return "identity_not_a_filled_string"
    return "identity_too_long" if len(identity) > MAX_IDENTITY_CHARACTERS else None


def _broken_user_id(event: dict[str, Any]) -> str | None:
    user_id = event["user_id"]
    if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id):
        return "user_id_not_a_number_in_a_string"
    return "user_id_too_large" if int(user_id) > MAX_USER_ID else None


def _broken_texts(event: dict[str, Any]) -> str | None:
    if not isinstance(event.get("idempotency_key", ""), str):
        return "idempotency_key_not_a_string"
    if not isinstance(event.get("session_id", ""), str):
        return "session_id_not_a_string"
    return None


def _broken_timestamp(event: dict[str, Any]) -> str | None:
    if "timestamp" not in event:
        return None
    timestamp = event["timestamp"]
    if not isinstance(timestamp, str) or not _ISO_8601.fullmatch(timestamp):
        return "timestamp_not_iso_8601"
    try:
        datetime.fromisoformat(timestamp)
    except ValueError:
        return "timestamp_not_a_time"
    return None


def _broken_properties(event: dict[str, Any]) -> str | None:
    properties = event.get("properties", {})
    if not isinstance(properties, dict):
        return "properties_not_an_object"
    for key, value in properties.items():
        if len(key) > MAX_PROPERTY_CHARACTERS:
            return "property_key_too_long"
        if isinstance(value, str):  # not in a function of its own: this runs for every property
            if len(value) > MAX_PROPERTY_CHARACTERS:
                return "property_text_too_long"
        elif broken := _broken_number(value):
            return broken
    return None


def _broken_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "property_neither_text_nor_number"
    return None if math.isfinite(value) else "property_not_a_finite_number"
