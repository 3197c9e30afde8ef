"""A real HTTP server on loopback that answers, hangs and breaks off as told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

_PATIENCE_SECONDS = 30.0
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire, header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Handles each connection's requests by one behaviour after another, then by the last one.

    Attributes:
        url: base URL.
        behaviours: what is done with each request, in order of arrival.
        received: the requests that were read to their end.
        connections: how many were accepted.
        ended: how many of them this side has closed.
    """

    url: str = ""
    behaviours: list[Behaviour] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    ended: int = 0

    def next(self) -> Behaviour:
        """Give what to do with the next request."""
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]

    def wait_until_ended(self, connections: int) -> None:
        """Wait until so many connections are closed on this side.

        Raises:
            TimeoutError: they stay open.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.ended < connections:
            if time.monotonic() > deadline:
                raise TimeoutError("connections stay open")
            time.sleep(0.005)


class Behaviour:
    """What the server does with one request.

    Args:
        read: whether the request is read.
        answer: sent then, as it is.
        end: `keep` the connection, `close` it, `reset` it, or `hang`.
        slice_bytes: send the answer in parts of so many bytes, each for itself; 0 for at once.
    """

    def __init__(
        self, *, read: bool = True, answer: bytes = b"", end: str = "keep", slice_bytes: int = 0
    ) -> None:
        self.read = read
        self.answer = answer
        self.end = end
        self.slice_bytes = slice_bytes


def answering(status: str, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer properly; header names are written with `_` for `-`."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Behaviour(answer="\r\n".join([*lines, "", ""]).encode() + body)


RESET_BEFORE_READING = Behaviour(read=False, end="reset")
RESET_AFTER_READING = Behaviour(end="reset")
CLOSED_AFTER_READING = Behaviour(end="close")
TRUNCATED = Behaviour(answer=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", end="close")
TRUNCATED_HEAD = Behaviour(answer=b"HTTP/1.1 200 OK\r\ncontent-le", end="close")
NOT_HTTP = Behaviour(answer=b"SSH-2.0-OpenSSH\r\n", end="close")
HANGING = Behaviour(end="hang")


@contextmanager
def serving(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server on a free port; with a context, over TLS."""
    server = ScriptedServer(behaviours=list(behaviours))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "http" if tls is None else "https"
        server.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        stopping = threading.Event()
        thread = threading.Thread(target=_accept, args=(listener, server, stopping, tls))
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def refused_port() -> Iterator[str]:
    """Give a base URL where nothing listens, and nothing will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def _accept(
    listener: socket.socket,
    server: ScriptedServer,
    stopping: threading.Event,
    tls: ssl.SSLContext | None,
) -> None:
    handlers = []
    while not stopping.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        server.connections += 1
        arguments = (connection, server, stopping, tls)
        handlers.append(threading.Thread(target=_serve, args=arguments))
        handlers[-1].start()
    for handler in handlers:
        handler.join()


def _serve(
    accepted: socket.socket,
    server: ScriptedServer,
    stopping: threading.Event,
    tls: ssl.SSLContext | None,
) -> None:
    accepted.settimeout(5)
    connection = accepted
    try:
        if tls is not None:
            connection = tls.wrap_socket(accepted, server_side=True)
        _handle(connection, server, stopping)
    except OSError:
        pass  # the client is gone, or wants none of this
    finally:
        connection.close()
        accepted.close()
        server.ended += 1


def _handle(connection: socket.socket, server: ScriptedServer, stopping: threading.Event) -> None:
    connection.settimeout(0.05)
    while not stopping.is_set():
        first = _first_byte(connection, stopping)
        if not first:
            return
        behaviour = server.next()
        if behaviour.read:
            server.received.append(_read(connection, first))
        if behaviour.answer:
            connection.settimeout(5)
            for part in _parts(behaviour):
                connection.sendall(part)
                stopping.wait(0.005 if behaviour.slice_bytes else 0)
            connection.settimeout(0.05)
        if behaviour.end == "hang":
            stopping.wait(30)
        if behaviour.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if behaviour.end != "keep":
            return


def _parts(behaviour: Behaviour) -> list[bytes]:
    length = behaviour.slice_bytes or len(behaviour.answer)
    starts = range(0, len(behaviour.answer), length)
    return [behaviour.answer[start : start + length] for start in starts]


def _first_byte(connection: socket.socket, stopping: threading.Event) -> bytes:
    while not stopping.is_set():
        try:
            return connection.recv(1)
        except TimeoutError:
            continue
        except OSError:
            break
    return b""


def _read(connection: socket.socket, first: bytes) -> Received:
    connection.settimeout(5)
    data = first
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, body = data.split(b"\r\n\r\n", 1)
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(connection)
    connection.settimeout(0.05)
    return Received(line, headers, body)


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65_536)
    if not received:
        raise ConnectionError("the client went away in the middle of a request")
    return received
