"""HTTP by hand, so that a test sees what really came over the wire."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Received:
    """One request and its answer on a connection that is kept."""
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Received(response.status, names, response.read())


def connect(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> HTTPConnection:
    """An HTTP connection to the simulator."""
    return HTTPConnection(urlsplit(url).netloc, timeout=timeout_seconds)


def open_socket(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> socket.socket:
    """A bare connection to the simulator."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=timeout_seconds)


def read_to_end(connection: socket.socket) -> bytes:
    """All bytes until the other side closes; raises `ConnectionResetError` if it resets."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def track_request(document: object) -> bytes:
    """The bytes of a track request."""
    body = json.dumps(document).encode()
    head = f"POST /api/track HTTP/1.1\r\nHost: heap\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def single(app_id: str = "11", **fields: object) -> dict[str, object]:
    """A valid single request."""
    return {"app_id": app_id, "event": "Phone Call", "identity": "alice@example.com"} | fields
