"""How long the console's pages take: a real server, ten million memberships in 1,000 segments.

The server runs alone on one core; its Kafka holds the segments' rows and events nobody forwards, so
that every look beside a page has something to find.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from bench.child import child
from bench.events import events
from bench.filled_index import filled_index
from bench.installation import Installation
from bench.report import Section, judged, quantile, table
from heapline.clock import SystemClock
from heapline.heap.segment_keys import segment_key
from heapline.heap.segment_record import (
    HeapSegment,
    Rhythm,
    SeenPage,
    SegmentStatus,
    SegmentSync,
    SyncKind,
)
from heapline.kafka.clients import producer_config
from heapline.kafka.codec import Encoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import SEGMENTS, Names
from heapline.words import SegmentId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.filled_index import Filled
    from devstack.world import World

TARGET_MS: Final = 100.0
ACME: Final = Workspace("acme")
_PAGES_A_SYNC: Final = 20
_START_SECONDS: Final = 60.0
_FLUSH_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is.

    Attributes:
        users: of one workspace, each of them in `share` of the segments.
        events: published and not forwarded.
        requests: of each page.
    """

    users: int = 1_000_000
    segments: int = 1_000
    share: float = 0.01
    events: int = 50_000
    requests: int = 50


QUICK: Final = Scale(users=20_000, segments=100, share=0.05, events=2_000, requests=10)


def measure(world: World, scale: Scale = Scale()) -> Section:
    """Fill everything, serve the console, and load each page.

    Raises:
        RuntimeError: a page was no 200, or the server failed.
    """
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        filled = filled_index(Path(folder), scale.users, scale.segments, 10, scale.share)
        installation = Installation(world, world.heap_url)
        installation.set_up((ACME,))
        now_ms = SystemClock().epoch_ms()
        installation.fill(events(scale.events, now_ms=now_ms, workspaces=(ACME,)))
        _write_segments(installation, filled.segments, now_ms)
        state = {"HEAPLINE_STATE__DIRECTORY": folder}
        with served(installation, state) as port:
            times = {
                name: loaded(port, path, scale.requests) for name, path in pages(filled).items()
            }
    return section(times, filled, scale)


def pages(filled: Filled) -> dict[str, str]:
    """Give every page by what it is called."""
    one, other = filled.segments[:2]
    rule = f"g0.operator=is&g0.segment={one}&g0.operator=isNot&g0.segment={other}"
    root = f"/console/{ACME}"
    return {
        "Integrations": "/",
        "Heap card": root,
        "Events sent to Heap": f"{root}/events",
        "Segments": f"{root}/segments",
        "a segment": f"{root}/segments/{one}",
        "Why not?": f"{root}/segments/{one}?user={filled.users[0]}",
        "members with a part in their id": f"{root}/segments/{one}?find=no-such-part",
        "an audience": f"{root}/audience?{rule}&user={filled.users[0]}",
        "Delivery of all": "/delivery",
        "Delivery": f"{root}/delivery",
    }


def _write_segments(installation: Installation, segments: Sequence[str], now_ms: int) -> None:
    """Write a running sync of many pages for each segment."""
    names = Names(installation.prefix)
    with Registry(installation.settings.schema_registry) as schemas:
        encoder = Encoder("HeapSegment", schemas.id_for_writing(names, SEGMENTS))
    producer = Producer(producer_config(installation.settings.kafka, "bench"))
    seen = tuple(SeenPage(page, page) for page in range(1, _PAGES_A_SYNC))
    for number in segments:
        sync = SegmentSync(
            f"sync-{number}",
            1,
            SyncKind.SYNC,
            0,
            now_ms,
            now_ms,
            total_pages=_PAGES_A_SYNC,
            pages=seen,
        )
        row = HeapSegment(
            ACME,
            SegmentId(number),
            now_ms,
            0,
            0,
            SegmentStatus.SYNCING,
            f"Segment {number}",
            rhythm=Rhythm.RECURRING,
            syncs=(sync,),
        )
        key = segment_key(ACME, SegmentId(number))
        producer.produce(names.topic(SEGMENTS), encoder.encode(row.to_record()), key)
    if producer.flush(_FLUSH_SECONDS):
        raise TimeoutError("the broker did not take the segments in time")


@contextmanager
def served(installation: Installation, state: dict[str, str]) -> Iterator[int]:
    """Serve the console in a process of its own; gives its port."""
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        port_file = Path(folder, "port")
        arguments = ("--port-file", str(port_file), "--parts", "console")
        env = installation.environment(state)
        with child("bench.lookup_server", *arguments, env=env) as server:
            port = server.port_in(port_file, _START_SECONDS)
            loaded(port, "/", 1)  # it has read the connections then
            yield port
            server.stop()


def loaded(port: int, path: str, requests: int) -> list[float]:
    """Load a page so often, with a moment between; give milliseconds, the first load first."""
    times = []
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(requests):
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - started) * 1_000)
        if answer.status != 200:  # noqa: PLR2004 -- HTTP's own
            raise RuntimeError(f"{path}: HTTP {answer.status}")
        time.sleep(_PAUSE_SECONDS)
    connection.close()
    return times


def section(times: dict[str, list[float]], filled: Filled, scale: Scale) -> Section:
    """Write the report; the first load of each page counts like any other."""
    rows: list[tuple[object, ...]] = [("milliseconds", "first", "p50", "p95", "slowest", "")]
    figures: dict[str, dict[str, float]] = {}
    for name, found in times.items():
        figures[name] = each = {
            "first_ms": found[0],
            "p50_ms": quantile(found, 0.5),
            "p95_ms": quantile(found, 0.95),
            "slowest_ms": max(found),
        }
        verdict = judged(each["slowest_ms"], TARGET_MS, at_most=True)
        rows.append((name, *(f"{ms:.1f}" for ms in each.values()), verdict))
    lines = [
        (
            f"{filled.memberships:,} memberships in {scale.segments:,} segments, {scale.events:,} "
            f"events waiting; at most {TARGET_MS:.0f} ms each, the first and the slowest too"
        ),
        *table(rows),
    ]
    return Section("console_pages", lines, {"memberships": filled.memberships, "pages": figures})
