"""Why something cannot be published: the closed set behind `InvalidEvent.reason`."""

from __future__ import annotations

from enum import StrEnum

from heapline.errors import InvalidEvent


class Refusal(StrEnum):
    """Why a payload is not an event; `docs/publishing.md` tells how to mend each."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NAME_MISSING = "name_missing"
    WORKSPACE_MISSING = "workspace_missing"
    INVALID_TIMESTAMP = "invalid_timestamp"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


def refuse(reason: Refusal, message: str) -> InvalidEvent:
    """Make the error for one refusal; the message says how to mend it."""
    return InvalidEvent(reason.value, message)
