"""heapline itself, in a process of its own: what `heapline run` is on a person's machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from devstack.heapline_process import HeaplineProcess
from devstack.ports import a_free_port
from heapline.clock import SystemClock
from heapline.errors import MustStop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

READY_SECONDS: Final = 60.0
_COMMAND: Final = (sys.executable, "-c", "from cli.main import main; main()")


@dataclass(frozen=True, slots=True)
class Page:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 -- any JSON
        """Read the body."""
        return orjson.loads(self.body)


class Service:
    """A running `heapline run`.

    Attributes:
        url: where it serves.
        environment: its settings, for other commands.
        folder: where it works; no `.env` file of somebody's is read there.
    """

    def __init__(self, url: str, environment: Mapping[str, str], folder: Path) -> None:
        self.url = url
        self.environment = dict(environment)
        self.folder = folder

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """Ask for a page or a whole address."""
        return self._call("GET", path, b"", headers or {})

    def post(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Page:
        """Send JSON."""
        kind = {"Content-Type": "application/json"}
        return self._call("POST", path, orjson.dumps(content), kind | dict(headers or {}))

    def command(self, *arguments: str) -> bytes:
        """Run one command of heapline with the same settings; give what it printed.

        Raises:
            MustStop: it failed; the message is what it said.
        """
        done = subprocess.run(
            [*_COMMAND, *arguments],
            env={**_without_settings(), **self.environment},
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise MustStop(f"`heapline {' '.join(arguments)}` failed: {said}")
        return done.stdout

    def _call(self, method: str, address: str, body: bytes, headers: Mapping[str, str]) -> Page:
        where = urlsplit(address if "://" in address else self.url + address)
        path = where.path + (f"?{where.query}" if where.query else "")
        connection = HTTPConnection(where.netloc, timeout=30)
        try:
            connection.request(method, path, body or None, dict(headers))
            answer = connection.getresponse()
            return Page(answer.status, dict(answer.headers.items()), answer.read())
        finally:
            connection.close()


@contextmanager
def running_service(
    settings: Mapping[str, str], folder: Path, *, keep: bool = False
) -> Iterator[Service]:
    """Run all roles until the block ends.

    Args:
        settings: by environment variable; the port is chosen here.
        folder: where it works and logs.
        keep: leave it running, unless an error or Ctrl-C ends the block.

    Raises:
        MustStop: it does not become ready.
    """
    port = a_free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **settings,
        "HEAPLINE_WEB__HOST": "127.0.0.1",
        "HEAPLINE_WEB__PORT": str(port),
        "HEAPLINE_WEB__PUBLIC_URL": url,
    }
    process = HeaplineProcess(folder, SystemClock())
    kept = False
    try:
        process.start(_without_settings(), environment)
        service = Service(url, environment, folder)
        _wait_until_ready(service, process)
        yield service
        kept = keep
    finally:
        if not kept:
            process.stop()


def _without_settings() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("HEAPLINE_")}


def _wait_until_ready(service: Service, process: HeaplineProcess) -> None:
    deadline = time.monotonic() + READY_SECONDS
    reason = ""
    while time.monotonic() < deadline:
        if not process.is_running():
            break
        try:
            answer = service.get("/readyz")
        except (OSError, HTTPException):
            reason = "it does not listen"
        else:
            if answer.status == 200:  # noqa: PLR2004 -- HTTP's own
                return
            reason = answer.body.decode(errors="replace")[:300]
        time.sleep(0.1)
    said = process.log.read_bytes()[-1_000:].decode(errors="replace")
    raise MustStop(f"`heapline run` did not become ready ({reason}); its log ends: {said}")
