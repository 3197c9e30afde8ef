"""The event as every reader and writer of `commandai.events` knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.words import EventId, UserId, Workspace


@dataclass(slots=True)
class Event:
    """One thing that happened in Command AI; field by field `avro/CommandAIEvent.avsc`.

    Attributes:
        timestamp_ms: when it happened, milliseconds since 1970-01-01 UTC.
        received_at_ms: when it was accepted for publishing, likewise.
        properties: the text of a JSON object.
    """

    event_id: EventId
    workspace: Workspace
    name: str
    user_id: UserId | None
    timestamp_ms: int
    received_at_ms: int
    anonymous_id: str | None = None
    session_id: str | None = None
    shape: str = ""
    is_admin: bool = False
    is_simulated: bool = False
    is_preview: bool = False
    scrubbers: tuple[str, ...] = ()
    properties: str = "{}"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Event:
        """Make an event from a decoded Avro record."""
        return cls(
            record["event_id"],
            record["workspace"],
            record["name"],
            record["user_id"],
            record["timestamp"],
            record["received_at"],
            record["anonymous_id"],
            record["session_id"],
            record["shape"],
            record["is_admin"],
            record["is_simulated"],
            record["is_preview"],
            tuple(record["scrubbers"]),
            record["properties"],
        )

    def to_record(self) -> dict[str, Any]:
        """Give the Avro record."""
        return {
            "event_id": self.event_id,
            "workspace": self.workspace,
            "name": self.name,
            "user_id": self.user_id,
            "anonymous_id": self.anonymous_id,
            "session_id": self.session_id,
            "timestamp": self.timestamp_ms,
            "received_at": self.received_at_ms,
            "shape": self.shape,
            "is_admin": self.is_admin,
            "is_simulated": self.is_simulated,
            "is_preview": self.is_preview,
            "scrubbers": list(self.scrubbers),
            "properties": self.properties,
        }
