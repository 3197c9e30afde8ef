"""What carries a request in measurements: httpx as everybody uses it, or as the forwarder does."""

from __future__ import annotations

from typing import Final, Protocol

import httpx

from heapline.http import HttpxClient
from heapline.http_transport import PooledTransport

HEADERS: Final = {"content-type": "application/json"}
OK: Final = 200
_SECONDS: Final = 60.0


class Carrier(Protocol):
    """Posts a body and gives the status; safe to share between threads."""

    def post(self, url: str, body: bytes) -> int:
        """Post and wait for the answer; 0 where none came."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class HttpxCarrier:
    """httpx's own client, on its own transport or another one."""

    def __init__(self, connections: int, transport: httpx.BaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=connections)
        self._client = httpx.Client(
            transport=transport, timeout=_SECONDS, limits=limits, trust_env=False
        )

    def post(self, url: str, body: bytes) -> int:
        """See `Carrier.post`."""
        return self._client.post(url, content=body, headers=HEADERS).status_code

    def close(self) -> None:
        """See `Carrier.close`."""
        self._client.close()


class OwnCarrier:
    """The forwarder's client."""

    def __init__(self, connections: int) -> None:
        transport = PooledTransport(connections=connections)
        self._client = HttpxClient(answer_seconds=_SECONDS, transport=transport)

    def post(self, url: str, body: bytes) -> int:
        """See `Carrier.post`."""
        return self._client.request("POST", url, body=body, headers=HEADERS).status or 0

    def close(self) -> None:
        """See `Carrier.close`."""
        self._client.close()
