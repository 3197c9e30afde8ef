"""Every fault as a client meets it, and what Heap has applied by then."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, IncompleteRead
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import running_simulator
from devstack.heap_simulator.faults import (
    Hang,
    Latency,
    Poison,
    Reset,
    Status,
    TooLarge,
    Trickle,
    Truncated,
)
from tests.devstack.heap_simulator.conftest import HandClock
from tests.devstack.heap_simulator.raw_http import (
    Received,
    connect,
    exchange,
    open_socket,
    read_to_end,
    single,
    track_request,
)

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient


def post(simulator: SimulatorClient, document: object, timeout_seconds: float = 10.0) -> Received:
    """Send one track request over a connection of its own."""
    connection: HTTPConnection = connect(simulator.url, timeout_seconds)
    try:
        return exchange(connection, "POST", "/api/track", json.dumps(document).encode())
    finally:
        connection.close()


@pytest.mark.parametrize("status", [204, 304, 401, 403, 404, 408, 425, 429, 500, 502, 503, 599])
def test_any_status(explaining: SimulatorClient, status: int) -> None:
    """A status is answered so often as it was ordered, and nothing is applied."""
    explaining.faults(Status(status=status, times=2))
    assert [post(explaining, single()).status for _ in range(3)] == [status, status, 200]
    assert explaining.ledger().accepted == 1


def test_status_after_applying(explaining: SimulatorClient) -> None:
    """An ambiguous failure: Heap has the event, the client is told 500."""
    explaining.faults(Status(status=500, applied=True, times=1))
    keyed = single(idempotency_key="k")
    assert [post(explaining, keyed).status for _ in range(2)] == [500, 200]
    ledger = explaining.ledger()
    assert (ledger.accepted, ledger.duplicates) == (1, 1)
    assert ledger.requests_by_status == {"200": 1, "500": 1}
    assert [request.applied for request in explaining.requests()] == [True, True]


def test_retry_after_in_every_form(explaining: SimulatorClient) -> None:
    """`Retry-After` comes as seconds, as a date, as nonsense, or not at all."""

    def told(fault: Status) -> str | None:
        explaining.faults(fault)
        return post(explaining, single()).headers.get("retry-after")

    assert told(Status(status=429)) is None
    assert told(Status(status=429, retry_after_seconds=2)) == "2"
    assert told(Status(status=503, retry_after_seconds=1.2)) == "2"
    assert told(Status(status=429, retry_after_seconds=0)) == "0"
    date = told(Status(status=429, retry_after_seconds=30, retry_after_form="date"))
    assert date is not None
    assert 28 <= parsedate_to_datetime(date).timestamp() - time.time() <= 31
    nonsense = told(Status(status=429, retry_after_seconds=2, retry_after_form="garbage"))
    assert nonsense is not None
    assert not nonsense.isdigit()
    with pytest.raises(ValueError, match="Invalid date"):
        parsedate_to_datetime(nonsense)


def test_one_app_only(explaining: SimulatorClient) -> None:
    """A fault for one app leaves the others as they are."""
    explaining.faults(Status(status=401, app_id="11"))
    assert post(explaining, single("11")).status == 401
    assert post(explaining, single("12")).status == 200


def test_too_large(explaining: SimulatorClient) -> None:
    """Bodies above the size are 413, smaller ones pass."""
    explaining.faults(TooLarge(above_bytes=len(json.dumps(single()))))
    assert post(explaining, single()).status == 200
    assert post(explaining, single(session_id="s")).status == 413
    assert explaining.ledger().accepted == 1


def test_poison(explaining: SimulatorClient) -> None:
    """One poison event refuses the whole request; without it the rest is accepted."""
    explaining.faults(Poison(event="bad"))
    good = [{"event": "good", "identity": "ann", "idempotency_key": str(n)} for n in range(3)]
    bad = {"event": "bad", "identity": "bob"}
    answer = post(explaining, {"app_id": "11", "events": [good[0], bad, *good[1:]]})
    assert (answer.status, answer.body) == (400, b"{}")
    assert explaining.ledger().accepted == 0
    assert post(explaining, {"app_id": "11", "events": good}).status == 200
    assert post(explaining, single(event="bad")).status == 400


@pytest.mark.parametrize("applied", [False, True])
def test_reset(explaining: SimulatorClient, *, applied: bool) -> None:
    """The connection is reset; only with `applied` has Heap the event."""
    explaining.faults(Reset(applied=applied, times=1))
    with open_socket(explaining.url) as connection:
        connection.sendall(track_request(single(idempotency_key="k")))
        with pytest.raises(ConnectionResetError):
            read_to_end(connection)
    ledger = explaining.ledger()
    assert ledger.accepted == int(applied)
    assert ledger.requests_without_answer == {"reset": 1}
    assert ledger.requests_by_status == {}
    assert post(explaining, single(idempotency_key="k")).status == 200
    assert explaining.ledger().duplicates == int(applied)


@pytest.mark.parametrize("applied", [False, True])
def test_hang(explaining: SimulatorClient, *, applied: bool) -> None:
    """No byte ever comes; other connections are served meanwhile."""
    explaining.faults(Hang(applied=applied, times=1))
    with open_socket(explaining.url, timeout_seconds=0.5) as connection:
        connection.sendall(track_request(single()))
        with pytest.raises(TimeoutError):
            read_to_end(connection)
        assert post(explaining, single("12")).status == 200
    ledger = explaining.ledger()
    assert ("11" in ledger.apps and ledger.apps["11"].accepted == 1) == applied
    assert ledger.requests_without_answer == {"hang": 1}


def test_truncated(explaining: SimulatorClient) -> None:
    """Head and half of the body come, then the end; Heap has the event."""
    explaining.faults(Truncated(times=1))
    with pytest.raises(IncompleteRead):
        post(explaining, single())
    ledger = explaining.ledger()
    assert ledger.accepted == 1
    assert ledger.requests_without_answer == {"truncated": 1}
    explaining.faults(Truncated(keep_body_bytes=0, times=1))
    with open_socket(explaining.url) as connection:
        connection.sendall(track_request(single()))
        received = read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\n")


def test_trickle(explaining: SimulatorClient) -> None:
    """The answer is whole and right, but comes in pieces with pauses."""
    explaining.faults(Trickle(bytes_per_piece=10, pause_ms=20, times=1))
    with open_socket(explaining.url) as connection:
        began = time.monotonic()
        connection.sendall(track_request(single()))
        answer = b""
        while not answer.endswith(b"{}"):
            answer += connection.recv(65536)
    pauses = (len(answer) - 1) // 10
    assert pauses >= 5
    assert time.monotonic() - began >= pauses * 0.02
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("when", ["before", "after"])
def test_latency(explaining: SimulatorClient, when: str) -> None:
    """The answer comes late; whether Heap applies first or last can be chosen."""
    for ms in (1_000, 5_000, 25_000):  # a busy machine may be too slow to look in between
        explaining.reset()
        explaining.faults(Latency.model_validate({"ms": ms, "when": when, "times": 1}))
        with open_socket(explaining.url, 60) as connection:
            began = time.monotonic()
            connection.sendall(track_request(single()))
            while explaining.ledger().requests == 0:
                time.sleep(0.01)
            early = explaining.ledger().accepted
            looked_in_time = time.monotonic() - began < ms / 1_000
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert time.monotonic() - began >= ms / 1_000
        assert explaining.ledger().accepted == 1
        if looked_in_time:
            assert early == (1 if when == "after" else 0)
            return
    pytest.fail("the machine is too slow for this test")


def test_several_at_once(explaining: SimulatorClient) -> None:
    """Latency, a storm for one app and a spoilt answer strike the same request together."""
    explaining.faults(
        Latency(ms=50), Status(status=503, app_id="11"), Truncated(app_id="11"), Status(status=500)
    )
    began = time.monotonic()
    with pytest.raises(IncompleteRead):
        post(explaining, single("11"))
    assert time.monotonic() - began >= 0.05
    assert post(explaining, single("12")).status == 500
    first, second = explaining.requests()
    assert (first.status, first.faults) == (503, ("latency", "status", "truncated"))
    assert (second.status, second.faults) == (500, ("latency", "status"))


def test_a_storm_passes() -> None:
    """A fault with a lifetime is over when it is over."""
    clock = HandClock()
    with running_simulator(clock=clock) as simulator:
        simulator.faults(Status(status=503, for_seconds=30))
        assert post(simulator, single()).status == 503
        clock.ahead_seconds = 31
        assert post(simulator, single()).status == 200


def test_clearing(explaining: SimulatorClient) -> None:
    """Cleared faults strike no more, and what struck is told until then."""
    explaining.faults(Status(status=503))
    post(explaining, single())
    armed = explaining.armed_faults()
    assert [(fault["kind"], fault["struck"]) for fault in armed] == [("status", 1)]
    explaining.clear_faults()
    assert explaining.armed_faults() == []
    assert post(explaining, single()).status == 200


def test_invalid_requests_meet_faults_too(explaining: SimulatorClient) -> None:
    """A storm answers whatever comes; a request it spares is judged by the contract."""
    explaining.faults(Status(status=503, times=1))
    assert [post(explaining, document).status for document in (None, None)] == [503, 400]
