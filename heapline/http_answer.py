"""Reading an HTTP/1.1 answer from the bytes that arrive.

h11 reads it, as in httpx's own transport: both hold the same for garbage. The plainest answers,
which arrive whole and tell their length, are read without it, several times faster; a test holds
`plain_answer` to what h11 makes of the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEAD_BYTES: Final = 100 * 1024
"""Of status line and headers; httpx's own bound."""
_INTERIM_ANSWERS: Final = 20
"""Answers with 1xx before the real one."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\x20-\x7e]*)?")
_FIELD: Final = re.compile(
    rb"([-!#$%&'*+.^_`|~0-9A-Za-z]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|)[ \t]*"
)
_WITHOUT_BODY: Final = {b"204", b"304"}


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as it came.

    Attributes:
        status: the final status, never 1xx.
        headers: names as written, in order.
        pieces: the body without transfer coding, but with content coding.
        ended_well: whether nothing but another answer can follow on the connection.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    pieces: Sequence[bytes]
    ended_well: bool


def read_answer(method: bytes, receive: Callable[[], bytes], body_bytes: int) -> RawAnswer:
    """Read the answer to a request.

    Args:
        method: the request's; decides whether the answer has a body.
        receive: gives what comes next, empty at the end of the connection.
        body_bytes: the longest body that is taken.

    Raises:
        h11.RemoteProtocolError: it is no answer, is cut off, or is too long.
    """
    first = receive()
    plain = None if method == b"HEAD" else plain_answer(first)
    if plain is not None and len(plain.pieces[0]) <= body_bytes:
        return plain
    return _Reader(method, first, receive).answer(body_bytes)


def plain_answer(data: bytes) -> RawAnswer | None:
    """Read an answer to anything but HEAD; None if it is not whole or not of the plainest kind."""
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None or status[1] in _WITHOUT_BODY:
        return None
    headers: list[tuple[bytes, bytes]] = []
    lengths: list[bytes] = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name, value = field.groups()
        headers.append((name, value))
        match name.lower():
            case b"content-length":
                lengths.append(value)
            case b"connection" if value.lower() != b"keep-alive":
                return None
            case b"transfer-encoding" | b"upgrade":
                return None
    if lengths != [b"%d" % len(body)]:
        return None
    return RawAnswer(int(status[1]), headers, (body,), ended_well=True)


class _Reader:
    """Reads one answer by h11."""

    def __init__(self, method: bytes, first: bytes, receive: Callable[[], bytes]) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        self._http.send(h11.Request(method=method, target="/", headers=[("host", "-")]))
        self._http.send(h11.EndOfMessage())
        self._receive = receive
        self._take(first)

    def answer(self, body_bytes: int) -> RawAnswer:
        head = self._head()
        pieces = self._body(body_bytes)
        ended_well = self._http.their_state is h11.DONE and not self._http.trailing_data[0]
        return RawAnswer(head.status_code, head.headers.raw_items(), pieces, ended_well)

    def _head(self) -> h11.Response:
        for _ in range(_INTERIM_ANSWERS):
            event = self._next_event()
            if isinstance(event, h11.Response):
                return event
        raise h11.RemoteProtocolError("too many interim answers")

    def _body(self, most: int) -> list[bytes]:
        pieces: list[bytes] = []
        left = most
        while isinstance(event := self._next_event(), h11.Data):
            pieces.append(bytes(event.data))
            left -= len(event.data)
            if left < 0:
                raise h11.RemoteProtocolError(f"the answer is longer than {most} bytes")
        return pieces

    def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._take(self._receive())
        return event

    def _take(self, data: bytes) -> None:
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise h11.RemoteProtocolError("the server disconnected without an answer")
        self._http.receive_data(data)
