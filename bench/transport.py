"""What a bulk request costs the sending process, by what carries it: processor time a request."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson

from bench.carriers import HEADERS, OK, HttpxCarrier, OwnCarrier
from bench.child import counting_heap
from bench.events import event
from bench.plain_loop import heap_event
from bench.report import Section, Spread, table
from heapline.heap.track import PATH
from heapline.http_transport import PooledTransport
from heapline.words import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.carriers import Carrier
    from bench.child import CountingHeap

ROUNDS: Final = 7
REQUESTS: Final = 60
"""A round."""
IN_FLIGHT: Final = (1, 8)
EVENTS: Final = 1_000
"""In a request: the most that Heap takes."""
_WARMING: Final = 2
"""Requests of each thread before a round."""
_SECONDS: Final = 60.0


class _Plain:
    """The standard library's client, a connection a thread."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def post(self, url: str, body: bytes) -> int:
        address = urlsplit(url)
        connection: http.client.HTTPConnection | None = getattr(self._of_thread, "it", None)
        if connection is None:
            connection = http.client.HTTPConnection(address.netloc, timeout=_SECONDS)
            self._of_thread.it = connection
            self._all.append(connection)
        connection.request("POST", address.path, body=body, headers=HEADERS)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        for each in self._all:
            each.close()


CARRIERS: Final[dict[str, Callable[[], Carrier]]] = {
    "httpx's client and transport": lambda: HttpxCarrier(max(IN_FLIGHT)),
    "httpx's client, our transport": lambda: HttpxCarrier(
        max(IN_FLIGHT), PooledTransport(connections=max(IN_FLIGHT))
    ),
    "our client and transport": lambda: OwnCarrier(max(IN_FLIGHT)),
    "http.client, no pool": _Plain,
}


def measure(rounds: int = ROUNDS, requests: int = REQUESTS) -> Section:
    """Measure all in turn, so many requests a round.

    Raises:
        RuntimeError: a request was not answered 200.
    """
    body = request_body()
    with counting_heap() as heap:
        found = {many: _compared(heap, body, many, rounds, requests) for many in IN_FLIGHT}
    return section(found, len(body))


def request_body() -> bytes:
    """Give a bulk request as the forwarder's look."""
    workspace = Workspace("transport")
    made = (event(number, workspace, EVENTS, 1_700_000_000_000) for number in range(EVENTS))
    return orjson.dumps(
        {"app_id": "1000", "events": [heap_event(each.to_record()) for each in made]}
    )


def _compared(
    heap: CountingHeap, body: bytes, in_flight: int, rounds: int, requests: int
) -> dict[str, Spread]:
    """Give the milliseconds of processor time a request."""
    readings: dict[str, list[float]] = {name: [] for name in CARRIERS}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(in_flight))
        carriers = {name: stack.enter_context(closing(make())) for name, make in CARRIERS.items()}
        for _ in range(rounds):
            for name, carrier in carriers.items():
                _post(pool, carrier, heap.url + PATH, body, _WARMING * in_flight)
                began = time.process_time()
                _post(pool, carrier, heap.url + PATH, body, requests)
                readings[name].append((time.process_time() - began) / requests * 1_000)
    return {name: Spread.of(each) for name, each in readings.items()}


def _post(pool: ThreadPoolExecutor, carrier: Carrier, url: str, body: bytes, requests: int) -> None:
    statuses = set(pool.map(lambda _: carrier.post(url, body), range(requests)))
    if statuses != {OK}:
        raise RuntimeError(f"the counting server answered {statuses}")


def section(found: dict[int, dict[str, Spread]], body_bytes: int) -> Section:
    """Write the report."""
    heads = [f"{many}: {what}" for many in found for what in ("least", "median", "most")]
    rows = [
        (
            name,
            *(
                f"{value:.2f}"
                for of in found.values()
                for value in (of[name].least, of[name].middle, of[name].most)
            ),
        )
        for name in CARRIERS
    ]
    lines = [
        f"requests of {EVENTS:,} events, {body_bytes / 1_000:,.0f} kB; processor milliseconds of",
        f"the sending process a request, with {' and '.join(map(str, found))} in flight, in turn:",
        "",
        *table([("", *heads), *rows]),
    ]
    figures = {
        str(many): {name: each.figures() for name, each in of.items()} for many, of in found.items()
    }
    return Section("transport", lines, {"body_bytes": body_bytes, "milliseconds": figures})
