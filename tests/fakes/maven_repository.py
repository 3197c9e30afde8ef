"""A Maven repository on loopback that can be slow, break off, refuse or lie."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from devstack.artifacts import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 4096


@dataclass
class MavenRepository:
    """What it has, how it misbehaves, and what was asked of it.

    Attributes:
        url: base URL.
        files: bodies by path.
        statuses: answered instead of files, one a request, until there are none left.
        cut_after_bytes: bodies end there, one a request, until there are none left.
        pause_seconds: waited before each 4 kB.
        requests: `(path, Range header)` in order of arrival.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    cut_after_bytes: list[int] = field(default_factory=list)
    pause_seconds: float = 0.0
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def add(self, coordinates: str, body: bytes) -> Artifact:
        """Have one more file; give how it would be pinned."""
        artifact = Artifact(coordinates, hashlib.sha256(body).hexdigest(), len(body))
        self.files[artifact.path] = body
        return artifact

    def body(self, path: str, start: int) -> bytes:
        """Give what is sent of a file."""
        whole = self.files[path][start:]
        return whole[: self.cut_after_bytes.pop(0)] if self.cut_after_bytes else whole


@contextmanager
def serving(repository: MavenRepository) -> Iterator[MavenRepository]:
    """Serve a repository, with its `url` set."""

    class Handler(_Handler):
        served = repository

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    repository.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield repository
    finally:
        repository.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: MavenRepository

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        path = self.path.lstrip("/")
        self.served.requests.append((path, asked))
        if self.served.statuses:
            self._refuse(self.served.statuses.pop(0))
        elif path not in self.served.files:
            self._refuse(404)
        else:
            self._send(path, int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, start: int) -> None:
        whole = len(self.served.files[path]) - start
        if whole <= 0:
            self._refuse(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(whole))
        self.end_headers()
        body = self.served.body(path, start)
        for at in range(0, len(body), _CHUNK_BYTES):
            if self.served.closing.wait(self.served.pause_seconds):
                return
            try:
                self.wfile.write(body[at : at + _CHUNK_BYTES])
            except OSError:
                return
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- inherited name
        """Say nothing."""
