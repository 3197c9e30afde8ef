"""The one place where httpx is imported: a small seam, so that a faster transport can stand behind.

An answer is a value and never an exception: what went wrong on the way is told as *not sent* (the
server cannot have seen the request) or *ambiguous* (it may have).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.settings import HeapSettings


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
    """`HttpClient` on httpx's own transport, with connections kept alive."""

    def __init__(
        self, *, connections: int = 16, connect_seconds: float = 5.0, answer_seconds: float = 30.0
    ) -> None:
        self._client = httpx.Client(
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
        )

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
            response = self._client.request(method, url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Answer(None, failure=Failure.NOT_SENT, error=_line(error))
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return Answer(None, failure=Failure.NOT_SENT, error=_line(error))
        except httpx.HTTPError as error:
            return Answer(None, failure=Failure.AMBIGUOUS, error=_line(error))
        return Answer(response.status_code, dict(response.headers), response.content)

    def close(self) -> None:
        """See `HttpClient.close`."""
        self._client.close()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
