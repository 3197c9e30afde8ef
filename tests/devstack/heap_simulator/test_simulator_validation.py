"""Every rule of the contract over a real connection: 400, `{}`, and nothing applied."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.devstack.heap_simulator.raw_http import Received, connect, exchange, single
from tests.devstack.heap_simulator.track_cases import (
    ALLOWED,
    NO_TIMESTAMPS,
    REFUSED,
    TIMESTAMPS,
    VALID,
    with_fields,
)

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient


def post(simulator: SimulatorClient, body: bytes) -> Received:
    """Send these bytes as a track request."""
    connection = connect(simulator.url)
    try:
        return exchange(connection, "POST", "/api/track", body)
    finally:
        connection.close()


def post_events(simulator: SimulatorClient, *events: object) -> Received:
    """Send a bulk request; NaN is written as `NaN`."""
    return post(simulator, json.dumps({"app_id": "11", "events": events}).encode())


@pytest.mark.parametrize("event", ALLOWED + [with_fields(timestamp=t) for t in TIMESTAMPS])
def test_accepts(explaining: SimulatorClient, event: dict[str, Any]) -> None:
    """An allowed event is accepted alone and in bulk, with an empty object as the answer."""
    for answer in (
        post_events(explaining, event),
        post(explaining, json.dumps(event | {"app_id": "11"}).encode()),
    ):
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["content-type"] == "application/json"
    ledger = explaining.ledger()
    assert ledger.accepted + ledger.duplicates == 2


@pytest.mark.parametrize(("reason", "event"), REFUSED)
def test_refuses(explaining: SimulatorClient, reason: str, event: object) -> None:
    """One event that breaks a rule refuses the whole request, which applies nothing."""
    answer = post_events(explaining, VALID, event, VALID)
    assert (answer.status, answer.body) == (400, b"{}")
    # NaN and Infinity are no JSON at all (RFC 8259, section 6).
    no_json = reason == "property_not_a_finite_number"
    expected = "body_not_a_json_object" if no_json else reason
    assert answer.headers["heap-simulator-reason"] == expected
    assert explaining.ledger().accepted == 0


@pytest.mark.parametrize("timestamp", NO_TIMESTAMPS)
def test_refuses_timestamps(explaining: SimulatorClient, timestamp: object) -> None:
    """A timestamp that cannot be parsed refuses the request."""
    assert post_events(explaining, with_fields(timestamp=timestamp)).status == 400
    assert explaining.ledger().accepted == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"not json",
        b'{"app_id":"11","event":"E","identity":"a"}{}',
        b'\xef\xbb\xbf{"app_id":"11","event":"E","identity":"a"}',
        b'{"app_id":"11","event":"\xff","identity":"a"}',
        b'{"app_id":"11","event":"\\ud800","identity":"a"}',
        b'{"app_id":"11","event":"E","identity":"a\x00b"}',
        b'{"app_id":"11","event":"E","identity":"a","properties":{"p":NaN}}',
        b'{"app_id":"11","event":"E","identity":"a","properties":{"p":-Infinity}}',
        b'{"app_id":"11","event":"E","identity":"a","properties":{"p":1e999}}',
        b"[" * 100_000,
        json.dumps({"app_id": "11"}).encode(),
        json.dumps({"app_id": "11", "events": []}).encode(),
        json.dumps({"app_id": "11", "events": [VALID] * 1001}).encode(),
        json.dumps({"events": [VALID]}).encode(),
        json.dumps({"app_id": 11, "events": [VALID]}).encode(),
        json.dumps({"app_id": "", "events": [VALID]}).encode(),
    ],
)
def test_refuses_bodies(explaining: SimulatorClient, body: bytes) -> None:
    """A body that is no JSON, or not of the documented shape, refuses the request."""
    answer = post(explaining, body)
    assert (answer.status, answer.body) == (400, b"{}")
    assert explaining.ledger().accepted == 0


def test_a_refusal_does_not_say_which_event(simulator: SimulatorClient) -> None:
    """Unless it was asked to explain, the answer tells no more than Heap's."""
    answer = post(simulator, json.dumps(single(event="")).encode())
    assert answer.status == 400
    assert answer.headers == {"content-type": "application/json", "content-length": "2"}


def test_a_thousand_events_are_accepted(explaining: SimulatorClient) -> None:
    """The largest bulk request that the contract allows."""
    events = [with_fields(identity=f"user {n}") for n in range(1000)]
    assert post_events(explaining, *events).status == 200
    assert explaining.ledger().accepted == 1000
