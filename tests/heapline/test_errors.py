"""The tree of errors."""

from __future__ import annotations

import inspect
import re

from heapline import errors
from heapline.errors import (
    HeaplineError,
    InvalidEvent,
    RecordsLost,
    RegistryUnavailable,
    TryAgainLater,
    Undeliverable,
    UnknownSchema,
    WorkspaceNeedsAttention,
)
from heapline.outcomes import DeadLetterReason


def drawn() -> dict[str, str]:
    """Each error in the module's drawing with the one it stands under."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    (?P<lead>[│├└─ ]*)(?P<name>[A-Z]\w+).*", line)
        if match:
            depth = len(match["lead"]) // 4
            above[depth] = match["name"]
            if depth:
                parents[match["name"]] = above[depth - 1]
    return parents


def test_the_drawing_is_the_tree() -> None:
    """Every class stands where the docstring draws it, and none is missing."""
    defined = {
        name: cls.__base__.__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == errors.__name__ and cls.__base__ and cls is not HeaplineError
    }
    assert drawn() == defined


def test_facts_are_attributes_and_the_message_is_for_people() -> None:
    """Code branches on attributes, never on texts."""
    again = TryAgainLater("busy", retry_after_seconds=3.0)
    assert (str(again), again.retry_after_seconds) == ("busy", 3.0)
    assert RegistryUnavailable("down").retry_after_seconds is None
    assert Undeliverable("name_missing", "no name").reason == DeadLetterReason.NAME_MISSING
    assert InvalidEvent("name_missing", "no name").reason == "name_missing"
    needs = WorkspaceNeedsAttention("acme", "unauthorized", "check the app id")
    assert (needs.workspace, needs.reason) == ("acme", "unauthorized")
    assert RecordsLost("gone", lost={"t[0]": 5}).lost == {"t[0]": 5}


def test_an_unknown_schema_is_undeliverable_under_its_own_reason() -> None:
    """It goes to the DLQ once asking again has not helped."""
    error = UnknownSchema(7)
    assert isinstance(error, Undeliverable)
    assert (error.reason, error.schema_id) == (DeadLetterReason.UNKNOWN_SCHEMA, 7)
    assert "7" in str(error)
