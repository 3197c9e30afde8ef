"""Asks a lookup API over kept connections and times every answer, in a process of its own.

`python -m bench.lookup_client`; reads what to ask as JSON from `--plan`, prints figures. Bare
sockets: a client library would cost more than the server that is measured.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from bench.report import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_WARM_UP_SHARE: Final = 10
_SECONDS: Final = 30.0


class Wire(NamedTuple):
    """A kept connection.

    Attributes:
        connection: its socket.
        received: the answer so far.
    """

    connection: socket.socket
    received: bytearray


class Timed(NamedTuple):
    """What asking came to.

    Attributes:
        seconds: of each answer, without those of the warm-up.
        elapsed: from the end of the warm-up to the last answer.
    """

    seconds: array[float]
    elapsed: float


def whole(answer: bytearray) -> bool:
    """Tell whether an answer is complete.

    Raises:
        RuntimeError: it is no 200.
    """
    end = answer.find(_END_OF_HEAD)
    if end < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(bytes(answer[:200]).decode("latin-1"))
    at = answer.find(_LENGTH) + len(_LENGTH)
    return len(answer) - end - len(_END_OF_HEAD) >= int(answer[at : answer.index(b"\r", at)])


def ask(port: int, requests: Sequence[bytes], connections: int) -> Timed:
    """Send all requests, each connection its next one as soon as its last is answered."""
    warm_up = len(requests) // _WARM_UP_SHARE
    sent_at: dict[socket.socket, float] = {}
    seconds = array("d")
    waiting = iter(requests)
    started = time.perf_counter()
    answered = 0
    with selectors.DefaultSelector() as selector:
        for first in (next(waiting) for _ in range(connections)):
            wire = _connect(port)
            selector.register(wire.connection, selectors.EVENT_READ, wire)
            sent_at[wire.connection] = time.perf_counter()
            wire.connection.sendall(first)
        while answered < len(requests):
            for key, _ in selector.select(_SECONDS):
                wire = key.data
                wire.received.extend(wire.connection.recv(1 << 20))
                if not whole(wire.received):
                    continue
                now = time.perf_counter()
                answered += 1
                if answered > warm_up:
                    seconds.append(now - sent_at[wire.connection])
                elif answered == warm_up:
                    started = now
                wire.received.clear()
                if (request := next(waiting, None)) is not None:
                    sent_at[wire.connection] = time.perf_counter()
                    wire.connection.sendall(request)
        elapsed = time.perf_counter() - started
        for wire in [key.data for key in selector.get_map().values()]:
            wire.connection.close()
    return Timed(seconds, elapsed)


def _connect(port: int) -> Wire:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Wire(connection, bytearray())


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    chosen = parser.parse_args()
    requests = [each.encode() for each in orjson.loads(chosen.plan.read_bytes())]
    timed = ask(chosen.port, requests, chosen.connections)
    figures = {
        "requests": len(timed.seconds),
        "per_second": len(timed.seconds) / timed.elapsed,
        "p50_seconds": quantile(timed.seconds, 0.5),
        "p99_seconds": quantile(timed.seconds, 0.99),
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")


if __name__ == "__main__":
    main()
