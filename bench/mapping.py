"""How long the gate and the mapping take for one event: `python -m bench.mapping`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import orjson

from consumers.forwarder.gate import Gate
from consumers.forwarder.mapping import Mapper
from heapline.events.model import Event
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.words import AppId, EventId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENTS: Final = 50_000
ROUNDS: Final = 5
_TYPICAL: Final[dict[str, object]] = {
    "type": "nudge_clicked",
    "nudge.id": "4711",
    "nudge.slug": "welcome-tour",
    "nudge.template_source": "onboarding",
    "nudge.frequency_limit": "once_per_user",
    "nudge.trigger.type": "when_page_reached",
    "nudge.trigger.meta.url": "https://app.example.com/projects",
    "nudge.step.id": 3,
    "nudge.step.title": "Invite your team",
    "page.path": "/projects/42",
    "page.title": "Project 42",
    "ranking": 0.5,
}
_FLAGGED: Final = {**_TYPICAL, "status.is_live": True, "note": None}
_NESTED: Final = {
    "type": "nudge_clicked",
    "nudge": {"id": "4711", "slug": "welcome-tour", "step": {"id": 3, "title": "Invite"}},
    "tags": ["a", "b"],
    "page": {"path": "/projects/42", "title": "Project 42", "query": ""},
    "ranking": 0.5,
}


def main() -> None:
    """Print microseconds an event for several kinds of properties."""
    plain = _connection(frozenset())
    blocked = _connection(frozenset({BlockedCategory.URLS, BlockedCategory.COMMANDS}))
    for label, properties, connection in (
        ("12 flat properties", _TYPICAL, plain),
        ("14 flat, with a boolean and a null", _FLAGGED, plain),
        ("nested", _NESTED, plain),
        ("12 flat, with a block list", _TYPICAL, blocked),
    ):
        best = min(_microseconds(_events(properties), connection) for _ in range(ROUNDS))
        print(f"{label:40s} {best:6.2f} us an event")


def _microseconds(events: Iterable[Event], connection: Connection) -> float:
    gate, mapper = Gate(connection), Mapper(connection)
    mapped = 0
    started = time.process_time()
    for event in events:
        if gate.judge(event) is None:
            mapper.map(event, gate.identity(event) or "")
            mapped += 1
    spent = time.process_time() - started
    assert mapped == EVENTS
    return spent / EVENTS * 1e6


def _events(properties: dict[str, object]) -> list[Event]:
    text = orjson.dumps(properties).decode()
    return [
        Event(
            EventId(f"00000000-0000-4000-8000-{number:012d}"),
            Workspace("acme"),
            "nudge_clicked",
            UserId(f"user-{number % 500}@example.com"),
            timestamp_ms=1_750_000_000_000 + number * 37,
            received_at_ms=1_750_000_000_000,
            properties=text,
        )
        for number in range(EVENTS)
    ]


def _connection(blocked: frozenset[BlockedCategory]) -> Connection:
    return Connection(
        Workspace("acme"),
        app_id=AppId("1001"),
        region=Region.US,
        send=Send.ON,
        exclude=("cb:content_*",),
        blocked_categories=blocked,
    )


if __name__ == "__main__":
    main()
