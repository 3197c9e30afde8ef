"""What deferred and dead-lettered records say about themselves, in record headers.

A record moves between topics with its key and value untouched; headers of its own are kept, and
heapline's stand beside them under `heapline-`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from heapline.outcomes import DeadLetterReason, DeferReason, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = list[tuple[str, bytes]]
PREFIX: Final = "heapline-"
REPLAYED: Final = "heapline-replayed"
"""On a DLQ record with no value: the `partition/offset` of the DLQ record that was replayed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record first stood."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        topic, partition, offset = text.rsplit("/", 2)
        return cls(topic, int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Deferral:
    """Why and until when a record waits in the deferred topic.

    Attributes:
        origin: where it first stood.
        source: `deferred`, or `replay` when an operator sent it again.
        first_deferred_at_ms, not_before_ms: milliseconds since 1970-01-01 UTC.
        deferrals: how often it was deferred, this time included.
    """

    origin: Origin
    source: Source
    first_deferred_at_ms: int
    not_before_ms: int
    deferrals: int
    reason: DeferReason | None = None

    def headers(self) -> Headers:
        """Write the headers."""
        return _written(
            origin=str(self.origin),
            source=self.source,
            first_deferred_at=str(self.first_deferred_at_ms),
            not_before=str(self.not_before_ms),
            deferrals=str(self.deferrals),
            reason=self.reason,
        )

    @classmethod
    def read(cls, headers: Iterable[tuple[str, bytes | None]]) -> Deferral:
        """Read the headers.

        Raises:
            ValueError: one is missing or malformed.
        """
        text = _read(headers)
        try:
            return cls(
                origin=Origin.parse(text["origin"]),
                source=Source(text.get("source", Source.DEFERRED)),
                first_deferred_at_ms=int(text["first_deferred_at"]),
                not_before_ms=int(text["not_before"]),
                deferrals=int(text["deferrals"]),
                reason=DeferReason(text["reason"]) if text.get("reason") else None,
            )
        except KeyError as error:
            raise ValueError(f"header {PREFIX}{error.args[0]} is missing") from error


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a record can never be delivered.

    Attributes:
        error: one line; never content of the record.
        status, body_excerpt: Heap's answer, where Heap refused it.
        attempts: requests that carried it.
        first_failure_at_ms, last_failure_at_ms: milliseconds since 1970-01-01 UTC.
    """

    origin: Origin
    reason: DeadLetterReason
    workspace: str
    event_id: str = ""
    error: str = ""
    status: int | None = None
    body_excerpt: str = ""
    attempts: int = 0
    first_failure_at_ms: int = 0
    last_failure_at_ms: int = 0
    schema_id: int | None = None
    source: Source = field(default=Source.EVENTS)

    def headers(self) -> Headers:
        """Write the headers."""
        return _written(
            origin=str(self.origin),
            reason=self.reason,
            workspace=self.workspace,
            event_id=self.event_id,
            error=self.error,
            status=None if self.status is None else str(self.status),
            body_excerpt=self.body_excerpt,
            attempts=str(self.attempts),
            first_failure_at=str(self.first_failure_at_ms),
            last_failure_at=str(self.last_failure_at_ms),
            schema_id=None if self.schema_id is None else str(self.schema_id),
            source=self.source,
        )

    @classmethod
    def read(cls, headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
        """Read the headers.

        Raises:
            ValueError: one is missing or malformed.
        """
        text = _read(headers)
        try:
            return cls(
                origin=Origin.parse(text["origin"]),
                reason=DeadLetterReason(text["reason"]),
                workspace=text["workspace"],
                event_id=text.get("event_id", ""),
                error=text.get("error", ""),
                status=int(text["status"]) if "status" in text else None,
                body_excerpt=text.get("body_excerpt", ""),
                attempts=int(text.get("attempts", 0)),
                first_failure_at_ms=int(text.get("first_failure_at", 0)),
                last_failure_at_ms=int(text.get("last_failure_at", 0)),
                schema_id=int(text["schema_id"]) if "schema_id" in text else None,
                source=Source(text.get("source", Source.EVENTS)),
            )
        except KeyError as error:
            raise ValueError(f"header {PREFIX}{error.args[0]} is missing") from error


def foreign(headers: Iterable[tuple[str, bytes | None]] | None) -> Headers:
    """Give the headers that are not heapline's, to be kept as they are."""
    return [(k, v or b"") for k, v in headers or () if not k.startswith(PREFIX)]


def _written(**values: str | None) -> Headers:
    return [
        (PREFIX + name.replace("_", "-"), value.encode("utf-8", "replace"))
        for name, value in values.items()
        if value is not None
    ]


def _read(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    return {
        name[len(PREFIX) :].replace("-", "_"): (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(PREFIX)
    }
