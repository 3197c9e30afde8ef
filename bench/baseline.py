"""The baseline: one event per request, as the known Heap destinations send them.

`python -m bench.baseline --events N --in-flight M`: read, decode, post with httpx as everybody uses
it, over connections kept alive, wait for the answers, commit once a batch. It does less than a
forwarder has to: no gate, no limits, no retries, no dead letters, no counts. Prints one line of
JSON at the end, see `Run`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from confluent_kafka import Consumer

from bench.carriers import OK, HttpxCarrier
from bench.reading import Reading, peak_resident_bytes
from heapline.heap.connection import Region
from heapline.heap.track import track_url
from heapline.kafka.clients import consumer_config
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS, Names
from heapline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.carriers import Carrier
    from heapline.settings import KafkaSettings

_READ_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to.

    Attributes:
        imported: when all modules were there.
        first: before the first event was sent.
        last: after the last was answered.
        ended: after the last commit.
        peak_bytes: the most memory held.
        events: events sent.
        refused: requests not answered 200.
    """

    imported: Reading
    first: Reading
    last: Reading
    ended: Reading
    peak_bytes: int
    events: int
    refused: int


def single_request(record: dict[str, Any], app_id: str) -> bytes:
    """Give the body of a request with one event (Heap, Track reference)."""
    happened = datetime.fromtimestamp(record["timestamp"] / 1000, UTC)
    return json.dumps(
        {
            "app_id": app_id,
            "identity": record["user_id"],
            "event": record["name"],
            "timestamp": happened.isoformat(timespec="milliseconds"),
            "idempotency_key": record["event_id"],
            "properties": json.loads(record["properties"]),
        }
    ).encode()


def batches(consumer: Consumer, events: int, at_once: int = _READ_AT_ONCE) -> Iterator[list[bytes]]:
    """Give the topic's values, so many at most, committing each batch once it was dealt with."""
    left = events
    while left > 0:
        messages = consumer.consume(min(at_once, left), 1.0)
        values = [m.value() or b"" for m in messages if m.error() is None]
        if values:
            left -= len(values)
            yield values
            consumer.commit(asynchronous=True)


class Poster:
    """Decodes events and posts them one by one; safe to share between threads."""

    def __init__(self, carrier: Carrier, url: str, decoder: Decoder) -> None:
        self._carrier = carrier
        self._url = url
        self._decoder = decoder

    def post(self, values: Sequence[bytes]) -> int:
        """Post each event and wait for its answer; give how many were refused."""
        refused = 0
        for value in values:
            body = single_request(self._decoder.decode(value), "1000")
            refused += self._carrier.post(self._url, body) != OK
        return refused


def run(events: int, in_flight: int, carrier: Callable[[int], Carrier] = HttpxCarrier) -> Run:
    """Send so many events in a request each, so many requests at a time."""
    imported = Reading.now()
    settings = load_settings()
    first: Reading | None = None
    sent = refused = 0
    with ExitStack() as stack:
        decoder = Decoder("CommandAIEvent", stack.enter_context(Registry(settings.schema_registry)))
        consumer = stack.enter_context(closing(consumer_of_all(settings.kafka)))
        carried = stack.enter_context(closing(carrier(in_flight)))
        pool = stack.enter_context(ThreadPoolExecutor(in_flight))
        poster = Poster(carried, track_url(Region.US, settings.heap.api_url), decoder)
        for values in batches(consumer, events):
            first = first or Reading.now()
            sent += len(values)
            refused += sum(pool.map(poster.post, (values[n::in_flight] for n in range(in_flight))))
        last = Reading.now()
    return Run(imported, first or last, last, Reading.now(), peak_resident_bytes(), sent, refused)


def consumer_of_all(settings: KafkaSettings) -> Consumer:
    """Make a consumer in a group of its own that reads the events from the beginning."""
    group = f"{settings.prefix}baseline-{os.getpid()}"
    config = consumer_config(settings, "baseline", group) | {
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": True,
        "enable.partition.eof": False,
    }
    consumer = Consumer(config)
    consumer.subscribe([Names(settings.prefix).topic(EVENTS)])
    return consumer


def main(run_it: Callable[[int, int], Run] = run) -> None:
    """Send and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--in-flight", type=int, default=1)
    chosen = parser.parse_args()
    result = run_it(chosen.events, chosen.in_flight)
    sys.stdout.buffer.write(orjson.dumps(asdict(result)) + b"\n")


if __name__ == "__main__":
    main()
