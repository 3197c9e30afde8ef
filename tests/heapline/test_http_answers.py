"""Every kind of answer and of garbage from a real server: one value, whichever transport."""

from __future__ import annotations

import gzip
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from heapline.http import Failure, HttpClient
from heapline.http_transport import ANSWER_BYTES
from tests.fakes.http_server import Behaviour, answering, serving
from tests.fakes.http_transports import TRANSPORTS, client_over

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = bytes(range(256)) * 4_000
ZIPPED = gzip.compress(LARGE)
DEFLATED = zlib.compress(b"flat")
BOMB = gzip.compress(b"\0" * (ANSWER_BYTES + 1))


@pytest.fixture(params=TRANSPORTS)
def client(request: pytest.FixtureRequest) -> Iterator[HttpClient]:
    """A client that waits for large bodies on a busy machine, but not for ever."""
    with closing(client_over(request.param, answer_seconds=3)) as client:
        yield client


def with_length(body: bytes, head: bytes = OK) -> bytes:
    """Give an answer that tells its length."""
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("slice_bytes", [0, 7])
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (with_length(b"here"), 200, b"here"),
        (with_length(b"here", b"HTTP/1.1 200\r\n"), 200, b"here"),
        (with_length(b"", b"HTTP/1.1 500 \r\n"), 500, b""),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
        (CHUNKED + b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + with_length(b"x"), 200, b"x"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 3 + with_length(b"x"), 200, b"x"),
        (with_length(DEFLATED, OK + b"Content-Encoding: deflate\r\n"), 200, b"flat"),
    ],
)
def test_an_answer_is_read_whole(
    client: HttpClient, answer: bytes, status: int, body: bytes, slice_bytes: int
) -> None:
    """However its end is told and in whatever parts it comes; the connection serves on."""
    with serving(Behaviour(answer=answer, slice_bytes=slice_bytes)) as server:
        for _ in range(2):
            told = client.request("POST", server.url, body=b"question")
            assert (told.status, told.body, told.failure) == (status, body, None)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"\r\nto the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (with_length(b"last", OK + b"Connection: close\r\n"), b"last"),
    ],
)
def test_an_answer_that_ends_its_connection_is_whole(
    client: HttpClient, answer: bytes, body: bytes
) -> None:
    """The next request opens another."""
    with serving(Behaviour(answer=answer, end="close")) as server:
        for _ in range(2):
            told = client.request("POST", server.url, body=b"question")
            assert (told.status, told.body) == (200, body)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("sent", "head"), [(LARGE, OK), (ZIPPED, OK + b"Content-Encoding: gzip\r\n")]
)
def test_a_large_body_comes_back_as_it_went(client: HttpClient, sent: bytes, head: bytes) -> None:
    """A megabyte out, and a megabyte back."""
    with serving(Behaviour(answer=with_length(sent, head))) as server:
        told = client.request("POST", server.url, body=LARGE)
    assert (told.status, told.failure) == (200, None)
    assert told.body == LARGE
    assert server.received[0].body == LARGE


def test_head_has_no_body(client: HttpClient) -> None:
    """Its length is that of what GET would give."""
    with serving(Behaviour(answer=OK + b"Content-Length: 100\r\n\r\n")) as server:
        for _ in range(2):
            assert client.request("HEAD", server.url).status == 200
    assert server.connections == 1


def test_headers_come_in_lower_case_and_joined(client: HttpClient) -> None:
    """A name that comes twice is one list (RFC 9110, section 5.3)."""
    answer = with_length(b"", OK + b"Retry-After: 3\r\nVia: a\r\nVIA: b\r\nX-Place: caf\xe9\r\n")
    with serving(Behaviour(answer=answer)) as server:
        headers = client.request("GET", server.url).headers
    assert headers == {
        "retry-after": "3",
        "via": "a, b",
        "x-place": "caf\u00e9",
        "content-length": "0",
    }


def test_a_body_refused_before_its_end_is_an_answer(client: HttpClient) -> None:
    """The server answers, closes and reads no further; what it said counts."""
    refusal = with_length(b"too much", b"HTTP/1.1 413 Content Too Large\r\n")
    with serving(Behaviour(read=False, answer=refusal, end="close"), answering("200 OK")) as server:
        told = client.request("POST", server.url, body=b"x" * 20_000_000)
        assert (told.status, told.body, told.failure) == (413, b"too much", None)
        assert client.request("POST", server.url).status == 200
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n\r\n",
        b"\0" * 1_000,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"Bad Name: x\r\n\r\n",
        OK + b"X: a\0b\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        OK + b"Content-Length: one\r\n\r\n",
        OK + b"Content-Length: 10\r\n\r\nabc",
        OK + b"X: " + b"y" * 200_000,
        OK + b"X: y\r\n" * 40_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
        CHUNKED + b"3\r\nab",
        CHUNKED + b"-3\r\nabc\r\n",
        CHUNKED + b"3\r\nabcde\r\n0\r\n\r\n",
        CHUNKED + b"3;" + b"x" * 200_000,
        CHUNKED + b"3\r\nabc\r\n",
        with_length(b"\x1f\x8bgarbage", OK + b"Content-Encoding: gzip\r\n"),
        with_length(BOMB, OK + b"Content-Encoding: gzip\r\n"),
        OK + b"\r\n" + b"x" * (ANSWER_BYTES + 1),
        with_length(b"x" * (ANSWER_BYTES + 1)),
    ],
    ids=lambda answer: repr(answer[:60]),
)
def test_what_is_no_answer_is_ambiguous(client: HttpClient, answer: bytes) -> None:
    """Garbage, half answers and endless ones; the next request is none the worse for it."""
    with serving(Behaviour(answer=answer, end="close"), answering("200 OK")) as server:
        told = client.request("POST", server.url, body=b"hunter2")
        assert (told.status, told.failure) == (None, Failure.AMBIGUOUS)
        assert told.error
        assert "hunter2" not in told.error
        server.wait_until_ended(1)
        assert client.request("POST", server.url).status == 200
