"""Both transports a client may stand on, for tests that hold them to the same."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

import httpx

from heapline.http import HttpxClient
from heapline.http_transport import PooledTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping


@cache
def _context(_authorities: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _of_httpx(connections: int) -> httpx.BaseTransport:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.HTTPTransport(verify=_context(os.environ.get("SSL_CERT_FILE")), limits=limits)


TRANSPORTS: Final[Mapping[str, Callable[[int], httpx.BaseTransport]]] = {
    "httpx": _of_httpx,
    "pooled": lambda connections: PooledTransport(connections=connections),
}


def client_over(
    transport: str,
    *,
    connections: int = 4,
    connect_seconds: float = 1.0,
    answer_seconds: float = 0.5,
) -> HttpxClient:
    """Make a client that does not wait long, over one of `TRANSPORTS`."""
    return HttpxClient(
        connect_seconds=connect_seconds,
        answer_seconds=answer_seconds,
        transport=TRANSPORTS[transport](connections),
    )
