"""One connection: HTTP/1.1 by h11, with the power to hang, to reset and to send half an answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote

import h11

from devstack.heap_simulator.http_messages import Answer, NoAnswer, Reply, Request

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from devstack.heap_simulator.router import Router

READ_BYTES = 256 * 1024

LINGER_SECONDS = 2.0
"""How long a refused body is read and dropped, so that the client gets to see the refusal."""

_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}

LINGER_BYTES = 64 * 1024 * 1024


_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection.

    Attributes:
        max_body_bytes: larger bodies are answered 413.
        keep_alive_seconds: how long the next bytes are waited for.
    """

    max_body_bytes: int
    keep_alive_seconds: float


class BodyTooLarge(Exception):
    """A request's body passed the bound before it had arrived whole."""


class HttpConnection:
    """Answers the requests of one client connection, one after the other."""

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, router: Router, limits: ConnectionLimits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._router = router
        self._limits = limits
        self._http = h11.Connection(h11.SERVER)
        self._method = b""

    async def serve(self) -> None:
        """Go on until either side closes; broken connections end it quietly."""
        try:
            with suppress(ConnectionError, TimeoutError):
                await self._answer_requests()
                self._writer.close()
                await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()

    async def _answer_requests(self) -> None:
        try:
            while request := await self._next_request():
                reply = await self._router.answer(request)
                await self._send(reply)
                if self._http.our_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as garbage:
            await self._refuse(garbage.error_status_hint)
        except BodyTooLarge:
            await self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def _next_request(self) -> Request | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method
        body = bytearray()
        announced = int(dict(head.headers).get(b"content-length", b"0"))
        while len(body) + announced <= self._limits.max_body_bytes:
            announced = 0
            event = await self._next_event()
            if not isinstance(event, h11.Data):
                return _request(head, bytes(body))
            body += event.data
        raise BodyTooLarge

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._write(self._http.send(go_on))
            async with asyncio.timeout(self._limits.keep_alive_seconds):
                self._http.receive_data(await self._reader.read(READ_BYTES))

    async def _send(self, reply: Reply) -> None:
        if isinstance(reply, NoAnswer):
            await (self._reset() if reply.how == "reset" else self._hang())
        elif reply.stream is not None:
            await self._send_stream(reply)
        else:
            await self._send_whole(reply)

    async def _send_stream(self, answer: Answer) -> None:
        await self._write(self._http.send(_head(answer, ("transfer-encoding", "chunked"))))
        for piece in answer.stream or ():
            await self._write(self._http.send(h11.Data(data=piece)))
        await self._write(self._http.send(h11.EndOfMessage()))

    async def _send_whole(self, answer: Answer) -> None:
        data = b"" if self._is_bodiless(answer) else answer.body
        head = self._http.send(_head(answer, ("content-length", str(len(data))))) or b""
        body = self._http.send(h11.Data(data=data)) or b""
        if answer.keep_body_bytes is not None:
            await self._write(head + body[: answer.keep_body_bytes])
            return
        end = self._http.send(h11.EndOfMessage()) or b""
        wire = head + body + end
        step = answer.piece_bytes or len(wire)
        for start in range(0, len(wire), step):
            if start:
                await asyncio.sleep(answer.pause_seconds)
            await self._write(wire[start : start + step])

    def _is_bodiless(self, answer: Answer) -> bool:
        # RFC 9110, sections 6.4.1 and 9.3.2.
        return answer.status in _BODILESS or self._method == b"HEAD"

    async def _refuse(self, status: int) -> None:
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._send_whole(Answer(status, close=True))
            await self._drop_what_comes()

    async def _drop_what_comes(self) -> None:
        # Closing with unread bytes would reset the connection, and the client might never see
        # the refusal.
        if self._writer.can_write_eof():
            self._writer.write_eof()
        dropped = 0
        async with asyncio.timeout(LINGER_SECONDS):
            while dropped < LINGER_BYTES and (piece := await self._reader.read(READ_BYTES)):
                dropped += len(piece)

    async def _hang(self) -> None:
        while await self._reader.read(READ_BYTES):
            pass

    async def _reset(self) -> None:
        # Zero linger makes the close send RST instead of FIN (SO_LINGER, socket(7)).
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._writer.transport.abort()

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
            await self._writer.drain()


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(path),
        query=dict(reversed(parse_qsl(query, keep_blank_values=True))),
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


def _head(answer: Answer, framing: tuple[str, str]) -> h11.Response:
    headers = [("content-type", answer.content_type), framing, *answer.headers.items()]
    if answer.close:
        headers.append(("connection", "close"))
    return h11.Response(
        status_code=answer.status, headers=headers, reason=_REASONS.get(answer.status, "")
    )
