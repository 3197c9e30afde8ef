"""From a Command AI event to what Heap is sent: one JSON object of a bulk request.

Rules of Heap (Heap, Track and Bulk Track reference): `event` of at most 1,024 characters,
`identity` of at most 255, an ISO 8601 `timestamp`, an `idempotency_key` of which the first write
wins, and flat `properties` (see `consumers.forwarder.heap_properties`).

- The event's name is sent as received. (`nudge_seen` and `nudge_shown` are one event under two
  names; only the gate's filters treat them as one, so that what Heap holds can be found again.)
- The timestamp says when it happened, in UTC with milliseconds.
- An identity is never cut, for two users would become one; a name is not cut either.
- The Command AI session is not sent: Heap's `session_id` means a session of Heap's own.
- What the organisation forbids, or the event's own `scrubbers` name, is left out (see
  `consumers.forwarder.blocked_text`).
- The number of properties has no bound of its own: Heap names none, and the size of a request,
  which its sender checks, bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import orjson

from consumers.forwarder.blocked_text import BlockedText
from consumers.forwarder.heap_properties import characters, heap_properties
from heapline.errors import Undeliverable
from heapline.heap.connection import BlockedCategory
from heapline.outcomes import DeadLetterReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heapline.events.model import Event
    from heapline.heap.connection import Connection

MAX_NAME_CHARACTERS: Final = 1024
MAX_IDENTITY_CHARACTERS: Final = 255
FIRST_MS: Final = -62_135_596_800_000
"""0001-01-01T00:00:00.000Z: ISO 8601 writes years with four digits."""
LAST_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""

_DAY_MS: Final = 86_400_000
_DAY_OF_EPOCH: Final = date(1970, 1, 1).toordinal()
_REMEMBERED: Final = 1_000
_TAIL: Final = b"]}"


@dataclass(slots=True)
class HeapEvent:
    """One event, ready to be sent.

    Attributes:
        identity: whom Heap counts it to; its limit is per identity.
        idempotency_key: the same however often the event is sent.
        body: this event's JSON object inside the request's `events`.
    """

    identity: str
    idempotency_key: str
    body: bytes


class Mapper:
    """Maps the events of one version of a workspace's connection."""

    def __init__(self, connection: Connection) -> None:
        self._forbidden = connection.blocked_categories
        self._blocked: dict[tuple[str, ...], BlockedText | None] = {}
        self._days: dict[int, str] = {}

    def map(self, event: Event, identity: str) -> HeapEvent:
        """Map one event the gate let through.

        Raises:
            Undeliverable: a field Heap cannot take; `reason` says which. Messages hold no content.
        """
        _check(event, identity)
        properties = heap_properties(
            event.properties, event.name, self._blocked_for(event.scrubbers)
        )
        document = {
            "identity": identity,
            "event": event.name,
            "timestamp": self._iso_8601(event.timestamp_ms),
            "idempotency_key": event.event_id,
            "properties": properties,
        }
        try:
            body = orjson.dumps(document)
        except orjson.JSONEncodeError as error:
            raise Undeliverable(
                DeadLetterReason.UNDECODABLE, "name, identity or event id is not Unicode text"
            ) from error
        # What orjson gives keeps its whole buffer, some 8 KiB, alive; a copy keeps what it holds.
        return HeapEvent(identity, event.event_id, bytes(memoryview(body)))

    def _blocked_for(self, scrubbers: tuple[str, ...]) -> BlockedText | None:
        try:
            return self._blocked[scrubbers]
        except KeyError:
            pass
        if len(self._blocked) >= _REMEMBERED:
            self._blocked.clear()
        categories = self._forbidden | _categories(scrubbers)
        blocked = self._blocked[scrubbers] = BlockedText(categories) if categories else None
        return blocked

    def _iso_8601(self, timestamp_ms: int) -> str:
        if not FIRST_MS <= timestamp_ms <= LAST_MS:
            raise Undeliverable(
                DeadLetterReason.INVALID_TIMESTAMP, f"{timestamp_ms} ms is no year of four digits"
            )
        day, ms = divmod(timestamp_ms, _DAY_MS)
        minutes, ms = divmod(ms, 60_000)
        hour, minute = divmod(minutes, 60)
        date_text = self._days.get(day) or self._date(day)
        return f"{date_text}T{hour:02d}:{minute:02d}:{ms / 1000:06.3f}+00:00"

    def _date(self, day: int) -> str:
        if len(self._days) >= _REMEMBERED:
            self._days.clear()
        text = self._days[day] = date.fromordinal(_DAY_OF_EPOCH + day).isoformat()
        return text


def request_body(app_id: str, bodies: Sequence[bytes | memoryview]) -> bytes:
    """Join events into the body of one bulk request."""
    return _head(app_id) + b",".join(bodies) + _TAIL


def request_overhead(app_id: str) -> int:
    """Count the bytes of a bulk request besides its events and the commas between them."""
    return len(_head(app_id)) + len(_TAIL)


def _head(app_id: str) -> bytes:
    return b'{"app_id":' + orjson.dumps(app_id) + b',"events":['


def _check(event: Event, identity: str) -> None:
    if not event.event_id.strip():
        raise Undeliverable(DeadLetterReason.EVENT_ID_MISSING, "the event has no event_id")
    if not event.name.strip():
        raise Undeliverable(DeadLetterReason.NAME_MISSING, "the event has no name")
    _check_length(event.name, MAX_NAME_CHARACTERS, DeadLetterReason.NAME_TOO_LONG)
    _check_length(identity, MAX_IDENTITY_CHARACTERS, DeadLetterReason.IDENTITY_TOO_LONG)


def _check_length(text: str, most: int, reason: DeadLetterReason) -> None:
    if 2 * len(text) > most and characters(text) > most:
        raise Undeliverable(reason, f"{characters(text)} characters, Heap takes {most}")


def _categories(scrubbers: Iterable[str]) -> frozenset[BlockedCategory]:
    return frozenset(category for category in BlockedCategory if category in scrubbers)
