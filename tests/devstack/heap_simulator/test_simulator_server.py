"""The server on the wire: connections, bodies of every framing, and HTTP that is none."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import Limits, SimulatorSettings, running_simulator
from tests.devstack.heap_simulator.conftest import HandClock
from tests.devstack.heap_simulator.raw_http import (
    connect,
    exchange,
    open_socket,
    read_to_end,
    single,
    track_request,
)

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient

CHUNKED = b"POST /api/track HTTP/1.1\r\nHost: heap\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"GET /_sim/health HTTP/1.1\r\nHost: heap\r\nConnection: close\r\n\r\n"


def test_a_connection_is_kept(explaining: SimulatorClient) -> None:
    """Many requests, refused ones among them, go over one connection."""
    connection = connect(explaining.url)
    connection.connect()
    port = connection.sock.getsockname()[1]
    for document, status in ((single(), 200), ({}, 400), (single(), 200)):
        body = json.dumps(document).encode()
        assert exchange(connection, "POST", "/api/track", body).status == status
        assert connection.sock.getsockname()[1] == port
    connection.close()


def test_unknown_paths_and_methods(explaining: SimulatorClient) -> None:
    """An unknown path is 404; another method on a known path is 405 and names the right one."""
    connection = connect(explaining.url)
    assert exchange(connection, "POST", "/api/other", b"{}").status == 404
    assert exchange(connection, "GET", "/").status == 404
    wrong = exchange(connection, "GET", "/api/track")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert exchange(connection, "HEAD", "/api/track").status == 405
    assert exchange(connection, "POST", "/api/track?x=1", b"{}").status == 400
    connection.close()


def test_chunked_bodies(explaining: SimulatorClient) -> None:
    """A body in chunks, cut anywhere, is the same as one with its length."""
    body = json.dumps(single()).encode()
    chunks = [body[:1], body[1:7], body[7:]]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    with open_socket(explaining.url) as connection:
        connection.sendall(CHUNKED + framed + b"0\r\n\r\n" + LAST)
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    assert explaining.ledger().accepted == 1


def test_pipelined_requests(explaining: SimulatorClient) -> None:
    """Requests sent without waiting are answered one after the other."""
    with open_socket(explaining.url) as connection:
        connection.sendall(track_request(single()) * 5 + track_request({}) + LAST)
        answers = read_to_end(connection)
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    assert answers.count(b"HTTP/1.1 400 Bad Request") == 1


def test_waiting_for_100_continue(explaining: SimulatorClient) -> None:
    """A client that asks first is told to go on."""
    head, body = track_request(single()).split(b"\r\n\r\n")
    with open_socket(explaining.url) as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body + LAST)
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /api/track HTTP/1.1\r\n\r\n",
        b"POST /api/track HTTP/1.1\r\nHost: heap\r\nContent-Length: x\r\n\r\n",
        CHUNKED + b"nonsense\r\n",
    ],
)
def test_garbage_is_refused_and_closed(explaining: SimulatorClient, garbage: bytes) -> None:
    """What is not HTTP is answered 400, and the connection is closed."""
    with open_socket(explaining.url) as connection:
        connection.sendall(garbage)
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close" in answer.lower()


def test_a_body_that_breaks_off_applies_nothing(explaining: SimulatorClient) -> None:
    """A client that goes away in the middle of its request has sent nothing."""
    with open_socket(explaining.url) as connection:
        connection.sendall(track_request(single())[:-1])
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)
    assert explaining.ledger().requests == 0


def test_too_large_bodies() -> None:
    """A body past the bound is 413, announced or not, and the client gets to read that."""
    with running_simulator(SimulatorSettings(max_body_bytes=1000)) as simulator:
        fits = track_request(single(nothing="x" * 880))
        assert len(fits.split(b"\r\n\r\n")[1]) <= 1000
        with open_socket(simulator.url) as connection:
            connection.sendall(fits + LAST)
            assert read_to_end(connection).startswith(b"HTTP/1.1 200 ")
        with open_socket(simulator.url) as connection:
            connection.sendall(track_request(single(nothing="x" * 1000)))
            connection.shutdown(socket.SHUT_WR)
            assert read_to_end(connection).startswith(b"HTTP/1.1 413 ")
        with open_socket(simulator.url) as connection:
            connection.sendall(CHUNKED + b"3e9\r\n" + b"x" * 1001 + b"\r\n")
            assert read_to_end_of_answer(connection).startswith(b"HTTP/1.1 413 ")
        assert simulator.ledger().requests == 1


def read_to_end_of_answer(connection: socket.socket) -> bytes:
    """One answer with `{}` as its body, while the request is not yet sent whole."""
    received = b""
    while not received.endswith(b"{}"):
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def test_idle_connections_are_closed() -> None:
    """A connection on which nothing comes is closed in the end, without an answer."""
    with (
        running_simulator(SimulatorSettings(keep_alive_seconds=0.1)) as simulator,
        open_socket(simulator.url) as connection,
    ):
        assert read_to_end(connection) == b""


def test_many_connections_at_once(simulator: SimulatorClient) -> None:
    """A hundred clients at once lose nothing and double nothing."""

    def send(client: int) -> list[int]:
        connection = connect(simulator.url)
        statuses = []
        for n in range(5):
            document = single(identity=f"user {client}", idempotency_key=f"{client}-{n}")
            body = json.dumps(document).encode()
            statuses.append(exchange(connection, "POST", "/api/track", body).status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(100) as clients:
        assert all(statuses == [200] * 5 for statuses in clients.map(send, range(100)))
    expected = {f"{client}-{n}" for client in range(100) for n in range(5)}
    keys = simulator.keys("11")
    assert len(keys) == 500
    assert set(keys) == expected


@pytest.mark.parametrize("form", ["none", "seconds", "date"])
def test_over_the_limit(form: str) -> None:
    """Past a limit the answer is 429 until 60 seconds have passed; it may tell when."""
    clock = HandClock()
    limits = Limits.model_validate({"events_per_minute_per_app": 2, "retry_after": form})
    with running_simulator(SimulatorSettings(limits=limits), clock=clock) as simulator:
        connection = connect(simulator.url)
        body = json.dumps(single()).encode()
        assert exchange(connection, "POST", "/api/track", body).status == 200
        assert exchange(connection, "POST", "/api/track", body).status == 200
        refused = exchange(connection, "POST", "/api/track", body)
        assert (refused.status, refused.body) == (429, b"{}")
        told = refused.headers.get("retry-after")
        assert (told is None) if form == "none" else (told is not None)
        assert told != "0"
        clock.ahead_seconds = 61
        assert exchange(connection, "POST", "/api/track", body).status == 200
        connection.close()
        app = simulator.ledger().apps["11"]
        assert app.outcomes == {"200": 3, "429": 1}
        assert (app.accepted, app.most_events_in_60_s) == (3, 2)


def test_a_port_in_use_is_an_error(simulator: SimulatorClient) -> None:
    """Asked for a port that is taken, the helper says so instead of waiting."""
    port = int(simulator.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="address already in use"), running_simulator(port=port):
        pass
