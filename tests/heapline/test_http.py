"""The HTTP seam against a real server, over httpx's own transport and over ours."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from heapline.http import Answer, Failure, HttpClient, HttpxClient
from heapline.settings import HeapSettings
from tests.fakes.http_server import (
    CLOSED_AFTER_READING,
    HANGING,
    NOT_HTTP,
    RESET_AFTER_READING,
    RESET_BEFORE_READING,
    TRUNCATED,
    Behaviour,
    answering,
    refused_port,
    serving,
)
from tests.fakes.http_transports import TRANSPORTS, client_over

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=TRANSPORTS)
def client(request: pytest.FixtureRequest) -> Iterator[HttpClient]:
    """A client that does not wait long."""
    with closing(client_over(request.param)) as client:
        yield client


def test_an_answer_is_status_headers_and_body(client: HttpClient) -> None:
    """Header names in lower case, the body whole."""
    with serving(answering("418 Teapot", b"\x00short", X_Stout="Yes")) as server:
        answer = client.request("PUT", f"{server.url}/a?b=c", body=b"x", headers={"X-Mine": "1"})
    assert (answer.status, answer.body, answer.failure) == (418, b"\x00short", None)
    assert answer.headers["x-stout"] == "Yes"
    (request,) = server.received
    assert (request.line, request.body) == ("PUT /a?b=c HTTP/1.1", b"x")
    assert request.headers["x-mine"] == "1"


def test_connections_are_kept_alive(client: HttpClient) -> None:
    """Many small requests, one connection."""
    with serving(answering("200 OK")) as server:
        for _ in range(5):
            assert client.request("GET", server.url).status == 200
    assert server.connections == 1


@pytest.mark.parametrize(
    "url", ["http://", "nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/"]
)
def test_a_url_nobody_can_reach_is_not_sent(client: HttpClient, url: str) -> None:
    """A wrong setting is a failure to show, not an exception."""
    answer = client.request("POST", url, body=b"x")
    assert (answer.status, answer.failure) == (None, Failure.NOT_SENT)
    assert answer.error


def test_a_refused_connection_is_not_sent(client: HttpClient) -> None:
    """The server cannot have seen the request."""
    with refused_port() as url:
        answer = client.request("POST", url, body=b"x")
    assert (answer.status, answer.failure) == (None, Failure.NOT_SENT)


def test_a_host_without_address_is_not_sent(client: HttpClient) -> None:
    """The name ends in `.invalid`, which never resolves (RFC 6761)."""
    assert client.request("GET", "http://heap.invalid/").failure is Failure.NOT_SENT


@pytest.mark.parametrize(
    "behaviour",
    [
        RESET_BEFORE_READING,
        RESET_AFTER_READING,
        CLOSED_AFTER_READING,
        TRUNCATED,
        NOT_HTTP,
        HANGING,
        Behaviour(
            answer=b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
        ),
        Behaviour(
            answer=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", end="close"
        ),
    ],
)
def test_what_breaks_after_connecting_is_ambiguous(
    client: HttpClient, behaviour: Behaviour
) -> None:
    """The server may have acted, even where it seems to have said something."""
    with serving(behaviour) as server:
        answer = client.request("POST", server.url, body=b"hunter2" * 10)
    assert (answer.status, answer.failure) == (None, Failure.AMBIGUOUS)
    assert "\n" not in answer.error
    assert len(answer.error) <= 200
    assert "hunter2" not in answer.error


def test_one_client_serves_many_threads() -> None:
    """Answers reach the thread that asked."""
    answers: list[Answer] = []
    with serving(answering("200 OK", b"here")) as server:
        client = HttpxClient.for_heap(HeapSettings(), connections=8)
        threads = [
            threading.Thread(target=lambda: answers.append(client.request("GET", server.url)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    assert [answer.body for answer in answers] == [b"here"] * 8
    assert 1 <= server.connections <= 8
