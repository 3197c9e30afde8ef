"""The plain loop: what a good engineer would write in an afternoon.

`python -m bench.plain_loop --events N --in-flight M`: `consume(1000)`, fastavro, orjson, requests
of up to 1,000 events of one workspace over httpx, M in flight, offsets committed once everything
read is answered. It has no gate, no limits, no retries, no dead letters, no counts and no metrics,
and splices properties in as they parse. Prints what `bench.baseline` prints.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx
import orjson

from bench.baseline import Run, batches, consumer_of_all, main
from bench.reading import Reading, peak_resident_bytes
from heapline.heap.connection import Region
from heapline.heap.track import track_url
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

_READ_AT_ONCE: Final = 1_000
_PER_REQUEST: Final = 1_000
_UNCOMMITTED: Final = 20_000
"""Events after which everything is sent, answered and committed."""
_HEADERS: Final = {"content-type": "application/json"}
_OK: Final = 200


def heap_event(record: dict[str, Any]) -> dict[str, Any]:
    """Give one event of a bulk request (Heap, Bulk Track reference)."""
    happened = datetime.fromtimestamp(record["timestamp"] / 1000, UTC)
    return {
        "identity": record["user_id"],
        "event": record["name"],
        "timestamp": happened.isoformat(timespec="milliseconds"),
        "idempotency_key": record["event_id"],
        "properties": orjson.loads(record["properties"]),
    }


class Loop:
    """Collects events by workspace and sends them."""

    def __init__(self, http: httpx.Client, url: str, pool: ThreadPoolExecutor) -> None:
        self.refused = 0
        self._http = http
        self._url = url
        self._pool = pool
        self._waiting: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._sent: list[Future[int]] = []

    def take(self, records: Iterable[dict[str, Any]]) -> None:
        """Take records; send what fills a request."""
        for record in records:
            waiting = self._waiting[record["workspace"]]
            waiting.append(heap_event(record))
            if len(waiting) == _PER_REQUEST:
                self._send(self._waiting.pop(record["workspace"]))

    def finish(self) -> None:
        """Send everything that waits, and wait for all answers."""
        for events in self._waiting.values():
            self._send(events)
        self._waiting.clear()
        self.refused += sum(sent.result() != _OK for sent in self._sent)
        self._sent.clear()

    def _send(self, events: list[dict[str, Any]]) -> None:
        body = orjson.dumps({"app_id": "1000", "events": events})
        self._sent.append(self._pool.submit(self._post, body))

    def _post(self, body: bytes) -> int:
        return self._http.post(self._url, content=body, headers=_HEADERS).status_code


def run(events: int, in_flight: int) -> Run:
    """Send so many events, with so many requests in flight."""
    imported = Reading.now()
    settings = load_settings()
    first: Reading | None = None
    sent = 0
    with ExitStack() as stack:
        decoder = Decoder("CommandAIEvent", stack.enter_context(Registry(settings.schema_registry)))
        consumer = stack.enter_context(closing(consumer_of_all(settings.kafka)))
        http = stack.enter_context(httpx.Client())
        pool = stack.enter_context(ThreadPoolExecutor(in_flight))
        loop = Loop(http, track_url(Region.US, settings.heap.api_url), pool)
        for values in batches(consumer, events, _READ_AT_ONCE):
            first = first or Reading.now()
            loop.take(map(decoder.decode, values))
            before, sent = sent, sent + len(values)
            if sent // _UNCOMMITTED > before // _UNCOMMITTED or sent >= events:
                loop.finish()
        last = Reading.now()
    return Run(
        imported, first or last, last, Reading.now(), peak_resident_bytes(), sent, loop.refused
    )


if __name__ == "__main__":
    main(run)
