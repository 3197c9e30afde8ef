"""Every rule of Heap's track contract, at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devstack.heap_simulator.track_rules import (
    broken_envelope,
    broken_event,
    events_of,
    subject_of,
)
from tests.devstack.heap_simulator.track_cases import (
    ALLOWED,
    NO_TIMESTAMPS,
    REFUSED,
    TIMESTAMPS,
    VALID,
    for_user_id,
    with_fields,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta


@pytest.mark.parametrize("event", ALLOWED)
def test_allows(event: dict[str, Any]) -> None:
    """What the contract allows up to its very bounds is allowed."""
    assert broken_event(event) is None


@pytest.mark.parametrize(("reason", "event"), REFUSED)
def test_refuses(reason: str, event: object) -> None:
    """What is one step past a bound is refused, for the reason that is true."""
    assert broken_event(event) == reason


@pytest.mark.parametrize("timestamp", TIMESTAMPS)
def test_allows_iso_8601(timestamp: str) -> None:
    """ISO 8601 in its usual forms can be parsed, with or without a zone."""
    assert broken_event(with_fields(timestamp=timestamp)) is None


@pytest.mark.parametrize("timestamp", NO_TIMESTAMPS)
def test_refuses_other_timestamps(timestamp: object) -> None:
    """What is no ISO 8601 or no time that exists is refused."""
    assert str(broken_event(with_fields(timestamp=timestamp))).startswith("timestamp_not_")


@given(st.datetimes(timezones=st.timezones()))
def test_allows_every_time_python_writes(moment: datetime) -> None:
    """Any point in time with an offset in whole minutes, written by isoformat, is allowed."""
    assume(cast("timedelta", moment.utcoffset()).total_seconds() % 60 == 0)
    assert broken_event(with_fields(timestamp=moment.isoformat())) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_survives_anything(value: object) -> None:
    """No value in any place makes the check itself fail."""
    for field in ("event", "identity", "user_id", "timestamp", "properties", "idempotency_key"):
        broken_event(with_fields(**{field: value}))
        broken_event(for_user_id("7") | {field: value})
    broken_envelope(value, events_per_request=1000)


@pytest.mark.parametrize(
    ("reason", "document"),
    [
        ("body_not_a_json_object", None),
        ("body_not_a_json_object", [VALID]),
        ("body_not_a_json_object", "text"),
        ("app_id_missing", VALID),
        ("app_id_missing", VALID | {"app_id": ""}),
        ("app_id_missing", VALID | {"app_id": 11}),
        ("app_id_missing", VALID | {"app_id": None}),
        ("events_not_a_filled_array", {"app_id": "11", "events": []}),
        ("events_not_a_filled_array", {"app_id": "11", "events": None}),
        ("events_not_a_filled_array", {"app_id": "11", "events": {"0": VALID}}),
        ("both_event_and_events", VALID | {"app_id": "11", "events": [VALID]}),
        ("too_many_events", {"app_id": "11", "events": [VALID] * 1001}),
        (None, {"app_id": "11", "events": [VALID] * 1000}),
        (None, VALID | {"app_id": "11"}),
    ],
)
def test_envelope(reason: str | None, document: object) -> None:
    """The request as a whole has an app id and one event, or a filled array of up to 1,000."""
    assert broken_envelope(document, events_per_request=1000) == reason


def test_single_and_bulk_hold_the_same_events() -> None:
    """A single request is its own only event."""
    single = VALID | {"app_id": "11"}
    assert events_of(single) == [single]
    assert events_of({"app_id": "11", "events": [VALID]}) == [VALID]


def test_an_identity_is_never_a_user_id() -> None:
    """The identity "7" and the user_id "7" are two different users."""
    assert subject_of(with_fields(identity="7")) != subject_of(for_user_id("7"))
