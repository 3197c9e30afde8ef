"""Tests of the demo's events: realistic, complete, and the same for one seed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.demo.cast import CAST
from devstack.demo.happenings import Kind, happenings
from devstack.demo.payloads import POISON_PROPERTY, UNDECODABLE, payload_of
from devstack.demo.run import DEFAULT_EVENTS, DEFAULT_SEED, FEWEST_EVENTS
from heapline.errors import Undeliverable
from heapline.events import to_event
from heapline.events.catalogue import V1_INTERNAL_NAMES, V1_TYPES, V2_NAMES
from heapline.events.shapes import Shape
from heapline.kafka.codec import schema_id_of

if TYPE_CHECKING:
    from heapline.events.model import Event

END_MS = 1_772_000_000_000
KNOWN = V1_INTERNAL_NAMES.keys() | V1_TYPES.keys() | V2_NAMES.keys()


def no_randomness(_: int) -> bytes:
    """Fail where an id could not be derived: another run would make another one."""
    raise AssertionError("the event's id was not derived from its content")


def made(count: int, seed: int = DEFAULT_SEED, end_ms: int = END_MS) -> list[tuple[Kind, Event]]:
    """Give the events as the publisher makes them, undecodable ones left out."""
    return [
        (
            each.kind,
            to_event(
                payload_of(each),
                now_ms=end_ms,
                workspace=each.member.workspace,
                randomness=no_randomness,
            ),
        )
        for each in happenings(count, seed, end_ms)
        if each.kind is not Kind.UNDECODABLE
    ]


@pytest.fixture(scope="module")
def events() -> list[tuple[Kind, Event]]:
    """Give the events of a demo as it comes."""
    return made(DEFAULT_EVENTS)


def test_the_same_seed_makes_the_same_events() -> None:
    """Two runs of the demo show the same table."""
    assert made(500, seed=7) == made(500, seed=7)
    assert made(500, seed=7) != made(500, seed=8)


def test_the_time_of_the_run_moves_times_only() -> None:
    """A demo tomorrow shows the same table as one today."""
    today, tomorrow = made(500), made(500, end_ms=END_MS + 86_400_000)
    assert [(kind, e.workspace, e.name, e.user_id, e.properties) for kind, e in today] == [
        (kind, e.workspace, e.name, e.user_id, e.properties) for kind, e in tomorrow
    ]


@given(st.integers(FEWEST_EVENTS, 3_000), st.integers())
@settings(max_examples=20, deadline=None)
def test_any_number_holds_one_poison_and_one_undecodable(count: int, seed: int) -> None:
    """There are exactly as many as asked for, in order, with exactly one of each bad one."""
    there = list(happenings(count, seed, END_MS))
    kinds = Counter(each.kind for each in there)
    times = [each.timestamp_ms for each in there]
    assert len(there) == count
    assert kinds[Kind.POISON] == kinds[Kind.UNDECODABLE] == 1
    assert times == sorted(set(times))
    assert times[-1] < END_MS


def test_no_two_events_share_an_id(events: list[tuple[Kind, Event]]) -> None:
    """Heap takes an id once: were two alike, one would count as lost."""
    assert len({event.event_id for _, event in events}) == len(events)


def test_every_kind_shape_and_workspace_is_there(events: list[tuple[Kind, Event]]) -> None:
    """What the demo promises to show happens."""
    assert {kind for kind, _ in events} == set(Kind) - {Kind.UNDECODABLE}
    assert {event.shape for _, event in events} == {shape.value for shape in Shape}
    assert {event.workspace for _, event in events} == {member.workspace for member in CAST}
    assert len({event.user_id for _, event in events}) > 300
    assert sum(member.share for member in CAST) == 100


def test_names_come_from_the_catalogue_except_the_unknown(
    events: list[tuple[Kind, Event]],
) -> None:
    """Only the kind *unknown name* has names the catalogue does not know, in every shape."""
    unknown = {event.name for kind, event in events if kind is Kind.UNKNOWN_NAME}
    others = {event.name for kind, event in events if kind is not Kind.UNKNOWN_NAME}
    assert others <= KNOWN
    assert not unknown & KNOWN
    assert len(others) > 100
    assert len(unknown) == 6


@pytest.mark.parametrize(
    ("kind", "is_preview", "is_admin", "is_simulated"),
    [
        (Kind.PREVIEW, True, False, False),
        (Kind.ADMIN, False, True, False),
        (Kind.SIMULATED, False, False, True),
        (Kind.USUAL, False, False, False),
        (Kind.POISON, False, False, False),
    ],
)
def test_test_traffic_says_so(
    events: list[tuple[Kind, Event]],
    kind: Kind,
    is_preview: bool,  # noqa: FBT001 -- a column of the table above
    is_admin: bool,  # noqa: FBT001 -- as above
    is_simulated: bool,  # noqa: FBT001 -- as above
) -> None:
    """Each kind of test traffic arrives with its own mark, and no other event has one."""
    marks = {
        (event.is_preview, event.is_admin, event.is_simulated)
        for what, event in events
        if what is kind
    }
    assert marks == {(is_preview, is_admin, is_simulated)}


def test_anonymous_visitors_have_a_device_and_no_user(events: list[tuple[Kind, Event]]) -> None:
    """Only anonymous events lack a user id, and they keep an anonymous one."""
    assert all((event.user_id is None) == (kind is Kind.ANONYMOUS) for kind, event in events)
    assert all(event.anonymous_id for _, event in events)


def test_only_the_poison_has_what_the_simulator_refuses(events: list[tuple[Kind, Event]]) -> None:
    """The simulator is told to refuse a property, which must stand in one event alone."""
    assert [kind for kind, event in events if POISON_PROPERTY in event.properties] == [Kind.POISON]


def test_the_undecodable_record_is_no_framed_avro() -> None:
    """Its bytes fail at the first of them, whatever the registry knows."""
    with pytest.raises(Undeliverable):
        schema_id_of(UNDECODABLE)


def test_v2_payloads_have_what_the_published_schema_requires() -> None:
    """The fields npm `commandbar` 1.12.0 requires of a v2 event are all there."""
    required = {
        *("version", "name", "is_admin", "is_simulated", "end_user_properties"),
        *("organization_key", "distinct_id", "anon_distinct_id", "timestamp", "sent_at"),
        *("page", "scrubbers", "properties"),
    }
    payloads = [payload_of(h) for h in happenings(300, 1, END_MS) if h.shape is Shape.V2]
    assert payloads
    assert all(required <= payload.keys() for payload in payloads)
