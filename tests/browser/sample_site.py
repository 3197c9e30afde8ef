"""The console over made-up data in memory: the same picture each time, and no Kafka to wait for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from consumers.forwarder.status import ForwarderStatus
from heapline.clock import SystemClock
from heapline.heap.connection import Connection, Region, Send
from heapline.heap.segment_record import (
    HeapSegment,
    Rhythm,
    SeenPage,
    SegmentStatus,
    SegmentSync,
    SyncKind,
)
from heapline.kafka.headers import DeadLetter, Origin
from heapline.memberships import MembershipReader, SegmentRow
from heapline.outcomes import DeadLetterReason
from heapline.settings import ApiToken, WebSettings
from heapline.words import AppId, SegmentId, Workspace
from operations.dlq import Content, Entry, Position
from operations.lag import WorkspaceLag
from operations.status import Status
from tests.fakes.console_data import FakeConsoleData
from tests.small_index import write_index
from web.app import ConsolePart, create_app
from web.console.data import Change, EventCount, Letter
from web.health import Readiness
from web.server import address_of, listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATOR: Final = "operate-token-0001"
ACME: Final = Workspace("acme")
PAGES: Final = {
    "workspaces": "/",
    "heap-card": "/console/acme",
    "events": "/console/acme/events",
    "segments": "/console/acme/segments",
    "segment": "/console/acme/segments/8101?user=bob%40example.com",
    "audience": "/console/acme/audience?join=AND&g0.join=OR&g0.operator=is&g0.segment=Paying+"
    "customers&g0.operator=is&g0.segment=Signed+up+this+week&g1.join=AND&g1.operator=isNot"
    "&g1.segment=At+risk+of+leaving&user=user-0007",
    "deliveries": "/delivery",
    "delivery": "/console/birch/delivery",
    "dead-letter": "/console/birch/delivery/0/42",
    "no-such-page": "/console/nobody",
}
"""Every kind of page, by a name fit for a file."""
_HOUR: Final = 3_600_000
_SEGMENTS: Final = {
    "8101": ("Paying customers", range(1_200)),
    "8102": ("Signed up this week", range(900, 1_500)),
    "8103": ("At risk of leaving", range(800, 1_100)),
    "8104": ("Spring campaign", range(40)),
}


def sample_data(folder: Path, now_ms: int) -> FakeConsoleData:
    """Make up three workspaces, one of which is in trouble.

    Args:
        folder: of the index, made here.
        now_ms: milliseconds since 1970-01-01 UTC.
    """
    data = FakeConsoleData(*_connections(now_ms))
    data.counts = _counts()
    data.changes = [
        Change(now_ms - (30 - day) * 24 * _HOUR, 170 if day % 7 == 0 else -6) for day in range(30)
    ]
    data.users = ["user-0007", "user-0512", "user-0033"]
    data.news = list(_news(now_ms))
    running = [ForwarderStatus("forwarder-1", now_ms, now_ms)]
    data.status = Status(now_ms, running, events_lag=1_234, workspaces=_waiting(now_ms))
    data.letters = [_letter(offset, now_ms) for offset in (42, 41, 40)]
    write_index(folder, _rows(now_ms), _members(), 1, now_ms)
    data.view = MembershipReader(folder).pinned()
    return data


def _connections(now_ms: int) -> list[Connection]:
    allowed: dict[str, Any] = {
        "id_token": "a-token",
        "allowed_by": "admin@customer.example",
        "allowed_at_ms": now_ms - 40 * 24 * _HOUR,
    }
    return [
        Connection(ACME, 4, now_ms, AppId("3100100101"), Region.US, Send.ON, **allowed),
        Connection(Workspace("birch"), 2, now_ms, AppId("3100100202"), Region.EU, Send.ON),
        Connection(Workspace("cobalt"), 1, now_ms, send=Send.ON),
    ]


def _counts() -> list[EventCount]:
    at = "2026-01-31 09:30 UTC"
    return [
        EventCount("nudge_shown", "delivered", "", 18_230, at),
        EventCount("nudge_shown", "skipped", "anonymous", 412, at),
        EventCount("questlist_item_engagement", "delivered", "", 2_204, at),
        EventCount("survey_response", "delivered", "", 310, at),
        EventCount("survey_response", "skipped", "preview", 12, at),
        EventCount("banner_pinned", "delivered", "", 9, at),
    ]


def _rows(now_ms: int) -> list[SegmentRow]:
    stale = {"8103"}
    return [
        SegmentRow(
            ACME,
            number,
            name,
            "syncing" if number == "8102" else "complete",
            "once" if number == "8104" else "recurring",
            stale=number in stale,
            last_synced_at_ms=now_ms - (20 if number in stale else 1) * _HOUR,
            last_page_at_ms=now_ms - 60_000,
        )
        for number, (name, _) in _SEGMENTS.items()
    ]


def _members() -> dict[tuple[str, str], list[str]]:
    return {
        (ACME, number): [f"user-{n:04}" for n in users] for number, (_, users) in _SEGMENTS.items()
    }


def _news(now_ms: int) -> Iterator[HeapSegment]:
    for number, (name, users) in _SEGMENTS.items():
        running = number == "8102"
        sync = SegmentSync(
            f"sync-{number}",
            3,
            SyncKind.SYNC,
            0,
            now_ms - _HOUR,
            now_ms - 60_000,
            None if running else now_ms - 60_000,
            5,
            adds=len(users),
            pages=tuple(SeenPage(page, 0) for page in range(1, 4 if running else 6)),
        )
        status = SegmentStatus.SYNCING if running else SegmentStatus.COMPLETE
        rhythm = Rhythm.ONCE if number == "8104" else Rhythm.RECURRING
        yield HeapSegment(
            ACME, SegmentId(number), now_ms, 0, 0, status, name, 0, rhythm, syncs=(sync,)
        )


def _waiting(now_ms: int) -> list[WorkspaceLag]:
    return [
        WorkspaceLag(
            "birch",
            "3100100202",
            "paused",
            "unauthorized",
            1_200,
            34_000,
            None,
            0.0,
            now_ms + 120_000,
        ),
        WorkspaceLag("acme", "3100100101", "open", "", 34, 0, 0.2, 0.62, 0),
    ]


def _letter(offset: int, now_ms: int) -> Letter:
    reason = DeadLetterReason.NAME_TOO_LONG if offset == 40 else DeadLetterReason.REJECTED_BY_HEAP
    why = DeadLetter(
        Origin("commandai.events", 0, 1_000 + offset),
        reason,
        "birch",
        "0190f7a2-0000-7000-8000-0000000000aa",
        "Heap answered 400",
        400,
        "Invalid request",
        1,
        now_ms,
        now_ms,
    )
    entry = Entry(Position(0, offset), now_ms - (43 - offset) * 60_000, why)
    event = {
        "name": "survey_response",
        "user_id": "user-0007",
        "properties": '{"score": 9, "question": "How likely are you to recommend us?"}',
    }
    return Letter(Content(entry, b"birch", b"\x00", []), event)


@contextmanager
def sample_site(folder: Path) -> Iterator[tuple[str, FakeConsoleData]]:
    """Serve the console on a free port until the block ends; give its address and its data."""
    data = sample_data(folder, SystemClock().epoch_ms())
    tokens = [ApiToken(name="ops", token=OPERATOR, role="operate")]
    settings = WebSettings(host="127.0.0.1", port=0, api_tokens=tokens)
    app = create_app(settings, Readiness({}), console=ConsolePart(data))
    config = uvicorn.Config(app, http="h11", ws="none", loop="asyncio", log_config=None)
    server = uvicorn.Server(config)
    with listen(settings) as listening:
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="console", daemon=True
        )
        thread.start()
        try:
            yield address_of(listening), data
        finally:
            server.should_exit = True
            thread.join()
