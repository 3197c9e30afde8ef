"""A transport for httpx over a small pool of blocking connections.

httpx's own transport costs the sender of large bodies more than the network does: it copies what is
left of a body at each partial send, sends head and body apart, and works out the same headers again
and again (`docs/performance.md`, "The HTTP transport"). This one does less: HTTP/1.1, no proxies,
bodies whose length is told, answers read whole. Errors are httpx's; `ConnectError`,
`ConnectTimeout`, `PoolTimeout`, `UnsupportedProtocol` and `LocalProtocolError` mean that nothing
was sent.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from contextlib import contextmanager
from functools import cached_property
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final

import h11
import httpx

from heapline.http_connection import Connection, Origin

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heapline.http_answer import RawAnswer

    _Timeouts = Mapping[str, float | None]

IDLE_SECONDS: Final = 5.0
"""A connection idle for longer is not used again: what lies between may have forgotten it."""
ANSWER_BYTES: Final = 16 * 1024 * 1024
_METHOD: Final = re.compile("[A-Z]+")
_PORTS: Final = {"http": 80, "https": 443}


class PooledTransport(httpx.BaseTransport):
    """Keeps connections alive, so many to one origin at most; safe to share between threads.

    Args:
        connections: to one origin; a request waits for one.
        idle_seconds: how long a connection may lie idle and be used again.
        answer_bytes: the longest body of an answer.
    """

    def __init__(
        self,
        *,
        connections: int,
        idle_seconds: float = IDLE_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self._answer_bytes = answer_bytes
        self._pools: dict[Origin, _Pool] = {}
        self._make_pool: Callable[[], _Pool] = lambda: _Pool(connections, idle_seconds)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`; the answer is read whole, and the connection free again.

        Raises:
            httpx.TransportError: as the module says.
        """
        origin = _origin(request.url)
        body = request.read()
        head = _head(request, len(body))
        timeouts: _Timeouts = request.extensions.get("timeout", {})
        pool = self._pools.get(origin) or self._pools.setdefault(origin, self._make_pool())
        with pool.place(timeouts.get("pool")):
            connection = pool.take() or self._open(origin, timeouts.get("connect"))
            try:
                _send(connection, head, body, timeouts.get("write"))
                answer = self._received(connection, request.method, timeouts.get("read"))
            finally:
                pool.put(connection)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Pieces(answer.pieces))

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """How httpx verifies servers; to read the authorities takes a while, so only if needed."""
        context = httpx.create_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _open(self, origin: Origin, seconds: float | None) -> Connection:
        try:
            return Connection.open(origin, self._tls if origin.secure else None, seconds)
        except TimeoutError as late:
            raise httpx.ConnectTimeout(str(late)) from late
        except (OSError, ValueError) as failed:
            raise httpx.ConnectError(str(failed)) from failed

    def _received(self, connection: Connection, method: str, seconds: float | None) -> RawAnswer:
        try:
            return connection.receive(method.encode(), seconds, self._answer_bytes)
        except TimeoutError as late:
            raise httpx.ReadTimeout(str(late)) from late
        except OSError as failed:
            raise httpx.ReadError(str(failed)) from failed
        except h11.RemoteProtocolError as garbage:
            raise httpx.RemoteProtocolError(str(garbage)) from garbage

    def close(self) -> None:
        """Close idle connections, and those in use once their request is done."""
        for pool in tuple(self._pools.values()):
            pool.close()


class _Pool:
    """The connections to one origin."""

    def __init__(self, connections: int, idle_seconds: float) -> None:
        self._places = BoundedSemaphore(connections)
        self._idle: deque[Connection] = deque()
        self._idle_seconds = idle_seconds
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def place(self, seconds: float | None) -> Iterator[None]:
        """Wait for a place, and hold it.

        Raises:
            httpx.PoolTimeout: none became free in time.
        """
        if not self._places.acquire(timeout=seconds):
            raise httpx.PoolTimeout("all connections are in use")
        try:
            yield
        finally:
            self._places.release()

    def take(self) -> Connection | None:
        """Give an idle connection that is still open; None where there is none."""
        oldest = time.monotonic() - self._idle_seconds
        while (connection := self._latest()) is not None:
            if connection.idle_since >= oldest and not connection.is_stale():
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Put a connection aside for the next request, or close it."""
        if not connection.reusable:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        with self._lock:
            self._idle.append(connection)
        self._close_idle(math.inf if self._closed else connection.idle_since - self._idle_seconds)

    def close(self) -> None:
        """Close what lies idle, now and from now on."""
        self._closed = True
        self._close_idle(math.inf)

    def _latest(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _close_idle(self, before: float) -> None:
        with self._lock:
            while self._idle and self._idle[0].idle_since < before:
                self._idle.popleft().close()


class _Pieces(httpx.SyncByteStream):
    """A body that was read."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in _PORTS or not url.host:
        raise httpx.UnsupportedProtocol(
            f"no address to connect to in a URL of scheme {url.scheme!r}"
        )
    return Origin(
        url.scheme == "https", url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    )


def _head(request: httpx.Request, body_bytes: int) -> bytes:
    """Write a request's head; nothing in it may end it early or tell another length.

    Raises:
        httpx.LocalProtocolError: it would.
    """
    headers = request.headers.raw
    fields = b"".join([b"%b: %b\r\n" % header for header in headers])
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), request.url.raw_path, fields)
    ends = len(headers) + 2
    if (
        not _METHOD.fullmatch(request.method)
        or not ends == head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n")
        or b"\0" in head
    ):
        raise httpx.LocalProtocolError("a method or header that cannot be sent")
    told = [value for name, value in headers if name.lower() == b"content-length"]
    if told != [b"%d" % body_bytes] and (told or body_bytes):
        raise httpx.LocalProtocolError("the headers do not tell the length of the body")
    return head


def _send(connection: Connection, head: bytes, body: bytes, seconds: float | None) -> None:
    try:
        connection.send(head, body, seconds)
    except TimeoutError as late:
        raise httpx.WriteTimeout(str(late)) from late
    except OSError:
        return  # a server may refuse a body before its end, and its answer says so
