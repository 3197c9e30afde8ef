"""Connections of the HTTP seam: kept, bounded, noticed when closed; on both transports."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from heapline.http import Failure, HttpClient, HttpxClient
from heapline.http_transport import PooledTransport
from tests.fakes.http_server import Behaviour, answering, serving
from tests.fakes.http_transports import TRANSPORTS, client_over

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = answering("200 OK", b"{}")
OK_AND_CLOSED = Behaviour(answer=OK.answer, end="close")
OK_AND_RESET = Behaviour(answer=OK.answer, end="reset")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Give the name of a transport."""
    name: str = request.param
    return name


@pytest.fixture
def client(transport: str) -> Iterator[HttpClient]:
    """A client with patience."""
    with closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as client:
        yield client


@pytest.mark.parametrize("last_words", [OK_AND_CLOSED, OK_AND_RESET])
def test_a_closed_connection_is_noticed_before_it_is_used(
    client: HttpClient, last_words: Behaviour
) -> None:
    """No request is lost into it."""
    with serving(last_words, OK) as server:
        assert client.request("POST", server.url, body=b"1").status == 200
        server.wait_until_ended(1)
        assert client.request("POST", server.url, body=b"2").status == 200
    assert (server.connections, len(server.received)) == (2, 2)


def test_a_request_that_finds_no_free_connection_is_not_sent(transport: str) -> None:
    """It waits as long as for an answer, and the server hears nothing of it."""
    with (
        serving(dripping(400)) as server,
        closing(client_over(transport, connections=1, answer_seconds=1)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(client.request, "POST", server.url)
        while not server.received:
            time.sleep(0.005)
        assert client.request("POST", server.url).failure is Failure.NOT_SENT
        first.result()
    assert len(server.received) == 1


def test_no_more_connections_than_allowed(transport: str) -> None:
    """Requests wait for each other, and all are answered."""
    with (
        serving(dripping(5)) as server,
        closing(client_over(transport, connections=2, answer_seconds=30)) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        told = list(pool.map(lambda _: client.request("POST", server.url), range(24)))
    assert {each.status for each in told} == {200}
    assert 1 <= server.connections <= 2


def test_a_host_that_does_not_pick_up_is_not_sent(transport: str) -> None:
    """The deadline for connecting is its own."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        closing(client_over(transport, connect_seconds=0.3, answer_seconds=60)) as client,
        ExitStack() as callers,
    ):
        for _ in range(3):  # fill the queue of those nobody has accepted
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(listener.getsockname())
        told = client.request("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", body=b"x")
    assert (told.failure, told.error[:14]) == (Failure.NOT_SENT, "ConnectTimeout")


def test_a_server_that_does_not_read_on_is_ambiguous(transport: str) -> None:
    """The body does not go out to its end, and no answer comes."""
    with (
        serving(Behaviour(read=False, end="hang")) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=0.3)) as client,
    ):
        told = client.request("POST", server.url, body=b"x" * 50_000_000)
    assert (told.status, told.failure) == (None, Failure.AMBIGUOUS)


def test_an_answer_that_drips_is_waited_for(transport: str) -> None:
    """The deadline counts from one read to the next."""
    with (
        serving(dripping(300)) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=1)) as client,
    ):
        assert client.request("POST", server.url).status == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"x-mine": "a\r\nx-theirs: b"}),
        ("POST", {"x-mine": "a\nb"}),
        ("POST", {"x-mine": "a\0b"}),
        ("POST", {"x-mine": "caf\u00e9"}),
        ("PO ST", {}),
        ("POST\r\nx-theirs: b\r\n", {}),
        ("", {}),
    ],
)
def test_what_cannot_be_written_is_not_sent(
    client: HttpClient, method: str, headers: dict[str, str]
) -> None:
    """Nobody smuggles in a header, and nothing raises."""
    with serving(OK) as server:
        told = client.request(method, server.url, headers=headers)
        assert (told.status, told.failure) == (None, Failure.NOT_SENT)
        assert client.request("POST", server.url).status == 200
    assert len(server.received) == 1


def test_what_goes_out(client: HttpClient) -> None:
    """The length always, a default unless the caller says otherwise, and the URL's own password."""
    with serving(OK) as server:
        address = server.url.removeprefix("http://")
        client.request("POST", f"http://ann:s%40f@{address}/a%20b?c=d#e", headers={"Accept": "x/y"})
        client.request("GET", server.url)
    first, second = server.received
    assert first.line == "POST /a%20b?c=d HTTP/1.1"
    assert first.headers["host"] == address
    assert first.headers["content-length"] == "0"
    assert first.headers["accept"] == "x/y"
    assert first.headers["authorization"] == "Basic YW5uOnNAZg=="
    assert second.line == "GET / HTTP/1.1"
    assert second.headers["accept"] == "*/*"
    assert second.headers.keys() & {"content-length", "authorization"} == set()


def test_closing_closes_connections(client: HttpClient) -> None:
    """The server sees the end."""
    with serving(OK) as server:
        assert client.request("GET", server.url).status == 200
        assert server.ended == 0
        client.close()
        server.wait_until_ended(1)


def test_bytes_after_an_answer_are_nobodys() -> None:
    """They are not taken for the answer to the next request."""
    poisoned = Behaviour(answer=OK.answer + answering("500 No").answer)
    with serving(poisoned, OK) as server, closing(client_over("pooled")) as client:
        for _ in range(2):
            assert client.request("POST", server.url).status == 200
    assert server.connections == 2


def test_a_connection_idle_for_long_is_not_used_again() -> None:
    """What lies between may have forgotten it; it is closed, too."""
    transport = PooledTransport(connections=4, idle_seconds=0)
    with serving(OK) as server, closing(HttpxClient(transport=transport)) as client:
        for _ in range(2):
            assert client.request("POST", server.url).status == 200
        server.wait_until_ended(1)
    assert server.connections == 2


def test_threads_and_broken_connections() -> None:
    """Each request has one outcome, and places of failed requests become free again."""
    behaviours = [OK, OK_AND_CLOSED, OK_AND_RESET, Behaviour(end="reset")] * 20
    with (
        serving(*behaviours, OK) as server,
        closing(client_over("pooled", connections=3, answer_seconds=30)) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        told = list(pool.map(lambda _: client.request("POST", server.url), range(100)))
        assert {each.status for each in told} <= {200, None}
        assert {each.failure for each in told} <= {None, Failure.AMBIGUOUS}
        assert [client.request("POST", server.url).status for _ in range(4)] == [200] * 4


def dripping(parts: int) -> Behaviour:
    """Answer with so many bytes, one every few milliseconds."""
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {parts}\r\n\r\n".encode()
    return Behaviour(answer=head + b"x" * parts, slice_bytes=1)
