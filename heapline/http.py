"""The seam to HTTP: httpx's requests, answers and errors, over a transport of our own.

An answer is a value and never an exception: what went wrong on the way is told as *not sent* (the
server cannot have seen the request) or *ambiguous* (it may have).
"""

from __future__ import annotations

import logging
from base64 import b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast
from urllib.request import getproxies

import httpx

from heapline import __version__
from heapline.http_transport import ANSWER_BYTES, PooledTransport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heapline.settings import HeapSettings


_log = logging.getLogger(__name__)


class Failure(StrEnum):
    """Why there is no status."""

    NOT_SENT = "not_sent"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status, or None when `failure` says why there is none.
        headers: names in lower case.
        body: the whole body.
        failure: None when there is a status.
        error: one line on the failure, for logs; no request data in it.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Failure | None = None
    error: str = ""


class HttpClient(Protocol):
    """Sends one request at a time per thread; safe to share between threads."""

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send and wait for the answer; never raises for what the network does."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class HttpxClient:
    """`HttpClient` on httpx, with connections kept alive.

    Requests go straight to a transport: no redirects are followed and no cookies kept. That is
    `PooledTransport`; where the environment names a proxy, it is httpx's own, which knows proxies.

    Args:
        connections: to one host at most (by a proxy: in all); a request waits for one.
        connect_seconds: to open a connection.
        answer_seconds: for a free connection, and from one read of the answer to the next.
        transport: another one, which is closed with the client.
    """

    def __init__(
        self,
        *,
        connections: int = 16,
        connect_seconds: float = 5.0,
        answer_seconds: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        timeout = httpx.Timeout(answer_seconds, connect=connect_seconds)
        self._extensions = {"timeout": timeout.as_dict()}
        self._transport = transport or default_transport(connections)

    @classmethod
    def for_heap(cls, settings: HeapSettings, connections: int) -> HttpxClient:
        """Make a client with Heap's deadlines."""
        return cls(
            connections=connections,
            connect_seconds=settings.connect_timeout_seconds,
            answer_seconds=settings.timeout_seconds,
        )

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """See `HttpClient.request`."""
        try:
            request = _request(method, url, body, headers or {}, self._extensions)
            response = self._transport.handle_request(request)
            answer = Answer(
                response.status_code, dict(response.headers.items()), _whole_body(response)
            )
        except _NOT_SENT as error:
            answer = Answer(None, failure=Failure.NOT_SENT, error=_line(error))
        except httpx.HTTPError as error:
            answer = Answer(None, failure=Failure.AMBIGUOUS, error=_line(error))
        _log.debug("%s: status %s %s", method, answer.status, answer.error)
        return answer

    def close(self) -> None:
        """See `HttpClient.close`."""
        self._transport.close()


_HEADERS: Final = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", f"heapline/{__version__}".encode()),
)
_WITH_BODY: Final = {"POST", "PUT", "PATCH"}
_NOT_SENT: Final = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    UnicodeError,
)


def default_transport(connections: int) -> httpx.BaseTransport:
    """Give `PooledTransport`, or what knows proxies where the environment names one."""
    named = getproxies()
    if any(named.get(scheme) for scheme in ("http", "https", "all")):
        return _ByProxy(connections)
    return PooledTransport(connections=connections)


class _ByProxy(httpx.BaseTransport):
    """httpx's client as a transport: it alone reads `HTTPS_PROXY`, `NO_PROXY` and the like."""

    def __init__(self, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.Client(limits=limits, follow_redirects=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`."""
        return self._client.send(request, stream=True)

    def close(self) -> None:
        """See `httpx.BaseTransport`."""
        self._client.close()


class _Addressed(NamedTuple):
    """What all requests to one address have in common."""

    url: httpx.URL
    headers: tuple[tuple[bytes, bytes], ...]


@lru_cache(maxsize=64)
def _addressed(url: str) -> _Addressed:
    parsed = httpx.URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise httpx.UnsupportedProtocol("a URL begins with http:// or https:// and a host")
    headers = [(b"host", parsed.netloc), *_HEADERS]
    if parsed.userinfo:
        headers.append((b"authorization", _basic(parsed)))
    return _Addressed(parsed, tuple(headers))


def _request(
    method: str, url: str, body: bytes, headers: Mapping[str, str], extensions: Mapping[str, object]
) -> httpx.Request:
    """Make a request without httpx's own defaults, which it works out anew for each."""
    addressed = _addressed(url)
    own = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    named = {name.lower() for name, _ in own}
    all_headers = [header for header in addressed.headers if header[0] not in named] + own
    if body or method.upper() in _WITH_BODY:
        all_headers.append((b"content-length", b"%d" % len(body)))
    return httpx.Request(
        method,
        addressed.url,
        headers=all_headers,
        stream=httpx.ByteStream(body),
        extensions=dict(extensions),
    )


def _basic(url: httpx.URL) -> bytes:
    """Give the header that a user and a password in the URL stand for (RFC 7617)."""
    return b"Basic " + b64encode(f"{url.username}:{url.password}".encode())


def _whole_body(response: httpx.Response) -> bytes:
    """Read a body and undo its content coding, piece by piece: a few bytes can become many."""
    coded = "content-encoding" in response.headers
    read = response.iter_bytes() if coded else cast("Iterable[bytes]", response.stream)
    pieces: list[bytes] = []
    left = ANSWER_BYTES
    try:
        for piece in read:
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise httpx.DecodingError(f"the answer is longer than {ANSWER_BYTES} bytes")
    finally:
        response.close()
    return b"".join(pieces)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
