"""Answers read from bytes: the short way and h11's are one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heapline.http_answer import RawAnswer, _Reader, plain_answer, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1_000
GARBAGE = st.sampled_from(
    [b"", b" ", b"\t", b"\0", b"\x80", b"\xff", b":", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b","]
)
LINES = st.sampled_from(
    [
        b"Content-Type: application/json",
        b"content-length: 2",
        b"Content-Length:2 ",
        b"Content-Length: 02",
        b"Content-Length: +2",
        b"Content-Length: 2, 2",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Connection: keep-alive",
        b"Connection: Keep-Alive, close",
        b"connection: close",
        b"Upgrade: websocket",
        b"X-Empty:",
        b"X-Spaced: a \t b  ",
        b"X-Latin: \xe9",
        b" folded",
        b"No colon",
        b"Bad name : x",
        b": nameless",
    ]
)
STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 429 Too Many Requests",
        b"HTTP/1.1 500 \xe9",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 600 What",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/2.0 200 OK",
        b"http/1.1 200 OK",
        b"SSH-2.0-OpenSSH",
        b"",
    ]
)
BODIES = st.sampled_from([b"", b"{", b"{}", b"{}\n", b"2\r\n{}\r\n0\r\n\r\n", b"x" * LIMIT])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Make something between an answer and garbage."""
    lines = [draw(STATUS_LINES), *draw(st.lists(LINES, max_size=4))]
    data = b"\r\n".join([*lines, b"", b""]) + draw(BODIES)
    if draw(st.booleans()):
        return data
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(GARBAGE) + data[at + draw(st.integers(0, 3)) :]


def arriving(data: bytes, part_bytes: int = 1 << 20) -> Callable[[], bytes]:
    """Give the data in parts, and then the end of the connection again and again."""
    parts = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    return lambda: parts.pop(0) if parts else b""


def by_h11(method: bytes, data: bytes) -> RawAnswer | str:
    """Give what h11 makes of it."""
    receive = arriving(data)
    try:
        return _Reader(method, receive(), receive).answer(LIMIT)
    except h11.RemoteProtocolError:
        return "garbage"


@given(answers())
@example(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}")
@example(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}")
def test_the_short_way_is_h11s(data: bytes) -> None:
    """Whatever it reads at all, it reads as h11 does."""
    plain = plain_answer(data)
    if plain is not None:
        told = by_h11(b"POST", data)
        assert isinstance(told, RawAnswer)
        assert (plain.status, list(plain.headers)) == (told.status, list(told.headers))
        assert b"".join(plain.pieces) == b"".join(told.pieces)
        assert plain.ended_well
        assert told.ended_well


@given(answers(), st.integers(1, 40), st.sampled_from([b"POST", b"HEAD"]))
def test_how_it_arrives_does_not_matter(data: bytes, part_bytes: int, method: bytes) -> None:
    """In parts or at once, it is the same answer, or garbage both times and nothing worse."""

    def told(size: int) -> tuple[int, bytes] | None:
        try:
            answer = read_answer(method, arriving(data, size), LIMIT)
        except h11.RemoteProtocolError:
            return None
        return answer.status, b"".join(answer.pieces)

    assert told(part_bytes) == told(1 << 20)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_garbage(data: bytes) -> None:
    """No other exception ever."""
    try:
        read_answer(b"GET", arriving(data), LIMIT)
    except h11.RemoteProtocolError:
        assert plain_answer(data) is None


def test_the_usual_answer_goes_the_short_way() -> None:
    """Else it would be correct, and of no use."""
    answer = plain_answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: keep-alive\r\n"
        b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 2\r\n\r\nOK"
    )
    assert answer is not None
    assert (answer.status, answer.pieces) == (200, (b"OK",))
    assert (b"Connection", b"keep-alive") in answer.headers


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"64\r\n%b\r\n" % (b"x" * 100) * 11,
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 120_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 21 + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_what_would_not_end_is_cut_off(data: bytes) -> None:
    """Bodies, headers and interim answers are bounded."""
    with pytest.raises(h11.RemoteProtocolError):
        read_answer(b"GET", arriving(data, 1_000), LIMIT)
