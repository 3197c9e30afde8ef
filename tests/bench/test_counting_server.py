"""The counting server: every request and event is counted, and every request answered."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pytest

from bench.child import CountingHeap, counting_heap
from bench.counting_server import Counter, content_length, events_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running() -> Iterator[CountingHeap]:
    """Run one counting server for this module's tests."""
    with counting_heap() as heap:
        yield heap


@pytest.fixture
def heap(running: CountingHeap) -> CountingHeap:
    """Give it with nothing counted."""
    running.start_anew()
    return running


def connected(heap: CountingHeap) -> HTTPConnection:
    """Open a connection."""
    address = urlsplit(heap.url)
    assert address.hostname is not None
    return HTTPConnection(address.hostname, address.port, timeout=10)


def event(key: str, **more: object) -> dict[str, Any]:
    """Make an event."""
    return {"event": "nudge_shown", "identity": "u1", "idempotency_key": key, **more}


def bulk(*keys: str) -> bytes:
    """Make the body of a bulk request."""
    return orjson.dumps({"app_id": "11", "events": [event(key) for key in keys]})


def test_requests_and_events_are_counted_over_one_connection(heap: CountingHeap) -> None:
    """Two bulk requests and a single one on a kept connection: three requests, four events."""
    connection = connected(heap)
    for body in (bulk("a", "b"), bulk("c"), orjson.dumps({"app_id": "11", **event("d")})):
        connection.request("POST", "/api/track", body=body)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"{}")
    connection.close()
    count = heap.count()
    assert (count.requests, count.events, count.distinct, count.unreadable) == (3, 4, 4, 0)


def test_an_event_sent_twice_is_counted_twice_and_distinct_once(heap: CountingHeap) -> None:
    """A repeated idempotency key shows as the difference between events and distinct."""
    connection = connected(heap)
    for _ in range(2):
        connection.request("POST", "/api/track", body=bulk("a", "b"))
        connection.getresponse().read()
    connection.close()
    count = heap.count()
    assert (count.events, count.distinct) == (4, 2)


def test_a_request_in_pieces_and_two_at_once_are_both_understood(heap: CountingHeap) -> None:
    """TCP cuts and joins as it likes."""
    body = bulk("a")
    head = b"POST /api/track HTTP/1.1\r\ncontent-LENGTH: %d\r\n\r\n" % len(body)
    connection = connected(heap)
    connection.connect()
    for piece in (head[:20], head[20:] + body[:5], body[5:] + head + bulk("b")):
        connection.sock.sendall(piece)
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < 2 or not received.endswith(b"{}"):
        received += connection.sock.recv(4096)
    connection.close()
    assert (heap.count().requests, heap.count().distinct) == (2, 2)


def test_a_count_starts_anew_and_is_told_once_more(heap: CountingHeap) -> None:
    """Starting anew tells what was there, and forgets it."""
    connection = connected(heap)
    connection.request("POST", "/api/track", body=bulk("a"))
    connection.getresponse().read()
    connection.close()
    told = heap.start_anew()
    assert (told.events, told.last_at >= told.first_at > 0) == (1, True)
    assert (heap.count().events, heap.count().first_at) == (0, 0.0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"events":[1]}', b'{"events":{}}'])
def test_a_body_that_is_no_track_request_is_counted_as_unreadable(body: bytes) -> None:
    """It is a request, and no event."""
    counter = Counter()
    counter.add(body, 1.0)
    count = counter.count()
    assert (count.requests, count.events) == (1, 0)
    assert count.unreadable == (0 if body == b'{"events":{}}' else 1)


def test_names_inside_properties_are_no_events() -> None:
    """What looks like an event inside an event's properties is not counted."""
    counter = Counter()
    sent = event("a", properties={"events": "x", "idempotency_key": "b", "event": "c"})
    counter.add(orjson.dumps({"app_id": "11", "events": [sent]}), 1.0)
    assert (counter.count().events, counter.count().distinct) == (1, 1)


def test_an_event_without_a_name_is_none() -> None:
    """Heap would refuse it."""
    assert events_of({"events": [event("a"), {**event("b"), "event": ""}]}) == [event("a")]


def test_no_content_length_means_no_body() -> None:
    """As for a GET request."""
    assert content_length(b"GET /count HTTP/1.1\r\nHost: x") == 0
    assert content_length(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12") == 12
