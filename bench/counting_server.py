"""A server that plays Heap's track endpoint as cheaply as it can: it counts, and answers 200.

`python -m bench.counting_server --port-file FILE`. `GET /count` tells what arrived, `DELETE /count`
starts anew. Everything else that is sent is taken for a track request. The answer goes out before
the body is looked into, so that the sender does not wait for the counting; with `--latency-ms`, so
much later than the request came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK: Final = "127.0.0.1"
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Count:
    """What arrived.

    Attributes:
        requests: requests to anything but `/count`.
        events: events in them; a request with one event outside a list counts one.
        distinct: different idempotency keys among them.
        body_bytes: of all requests.
        unreadable: requests whose body was no track request.
        first_at, last_at: monotonic seconds of the first and the last request; 0 for none.
    """

    requests: int = 0
    events: int = 0
    distinct: int = 0
    body_bytes: int = 0
    unreadable: int = 0
    first_at: float = 0.0
    last_at: float = 0.0


@dataclass(slots=True)
class Counter:
    """Counts track requests."""

    requests: int = 0
    events: int = 0
    body_bytes: int = 0
    unreadable: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    keys: set[str] = field(default_factory=set)

    def add(self, body: bytes, now: float) -> None:
        """Count one request."""
        self.requests += 1
        self.body_bytes += len(body)
        self.first_at = self.first_at or now
        self.last_at = now
        try:
            events = events_of(orjson.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            return
        self.events += len(events)
        self.keys.update(event["idempotency_key"] for event in events if "idempotency_key" in event)

    def count(self) -> Count:
        """Give the sums."""
        return Count(
            self.requests,
            self.events,
            len(self.keys),
            self.body_bytes,
            self.unreadable,
            self.first_at,
            self.last_at,
        )


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the events of a bulk request, or the one of a single request.

    Raises:
        KeyError, TypeError, AttributeError: it is neither.
    """
    listed = document.get("events")
    if listed is None:
        return [document] if document["event"] else []
    return [event for event in listed if event["event"]]


class Connection(asyncio.Protocol):
    """One connection kept alive: requests with `Content-Length`, one after the other."""

    def __init__(self, server: CountingServer) -> None:
        self._server = server
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += data
        for head, body in self._whole_requests():
            self._answer(head, body)

    def _whole_requests(self) -> Iterator[tuple[bytes, bytes]]:
        received = self._received
        while (end := received.find(_HEAD_END)) >= 0:
            head = bytes(received[:end])
            start = end + len(_HEAD_END)
            stop = start + content_length(head)
            if len(received) < stop:
                return
            body = bytes(memoryview(received)[start:stop])
            del received[:stop]
            yield head, body

    def _answer(self, head: bytes, body: bytes) -> None:
        now = time.monotonic()
        method, path = head.split(b" ", 2)[:2]
        if path != b"/count":
            self._answer_track()
            self._server.counter.add(body, now)
            return
        self._write(orjson.dumps(asdict(self._server.counter.count())))
        if method == b"DELETE":
            self._server.counter = Counter()

    def _answer_track(self) -> None:
        wait = self._server.latency_seconds
        if wait:
            asyncio.get_running_loop().call_later(wait, self._write, b"{}")
        else:
            self._write(b"{}")

    def _write(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


def content_length(head: bytes) -> int:
    """Read a head's `Content-Length`; 0 where there is none.

    Raises:
        ValueError: it is no number.
    """
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class CountingServer:
    """Listens on the loopback interface until told to stop.

    Args:
        latency_seconds: from a track request to its answer.
    """

    def __init__(self, latency_seconds: float = 0.0) -> None:
        self.counter = Counter()
        self.latency_seconds = latency_seconds

    async def serve(self, port_file: Path) -> None:
        """Serve until SIGTERM or SIGINT; the port stands in the file once it listens."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        server = await loop.create_server(lambda: Connection(self), LOOPBACK, 0)
        write_port(port_file, server.sockets[0].getsockname()[1])
        await stopping.wait()
        server.close()  # and no waiting for connections: clients keep theirs alive


def write_port(port_file: Path, port: int) -> None:
    """Write the port so that no reader ever finds half of it."""
    half = port_file.with_suffix(".new")
    half.write_text(str(port), encoding="ascii")
    half.replace(port_file)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    chosen = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(CountingServer(chosen.latency_ms / 1000).serve(chosen.port_file))


if __name__ == "__main__":
    main()
