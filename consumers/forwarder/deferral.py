"""When a record goes to the deferred topic, until when it waits there, and when it expires."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heapline.kafka.headers import Deferral, Origin
from heapline.outcomes import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.forwarder.record import Record
    from heapline.outcomes import DeferReason
    from heapline.settings import ForwarderSettings


def not_before_ms(
    now_ms: int, backlog_events: int, events_per_minute: int, settings: ForwarderSettings
) -> int:
    """Give when a record deferred now should be looked at again.

    About when the lane's backlog ahead of it is through, but at least the shortest wait (a dead
    workspace costs a trickle) and at most the longest (a recovered one is not forgotten).
    """
    through_seconds = 60.0 * backlog_events / events_per_minute
    wait = min(max(through_seconds, settings.deferral_min_seconds), settings.deferral_max_seconds)
    return now_ms + int(wait * 1000)


def deferred_again(record: Record, reason: DeferReason, now_ms: int, due_ms: int) -> Deferral:
    """Give what the deferred topic will say of a record."""
    before = record.deferral
    return Deferral(
        origin=origin_of(record),
        source=Source.REPLAY if record.source is Source.REPLAY else Source.DEFERRED,
        first_deferred_at_ms=before.first_deferred_at_ms if before else now_ms,
        not_before_ms=due_ms,
        deferrals=before.deferrals + 1 if before else 1,
        reason=reason,
    )


def origin_of(record: Record) -> Origin:
    """Give where a record first stood."""
    if record.deferral is not None:
        return record.deferral.origin
    return Origin(record.partition.topic, record.partition.number, record.offset)


def read_deferral(
    topic: str,
    partition: int,
    offset: int,
    headers: Iterable[tuple[str, bytes | None]],
    now_ms: int,
) -> Deferral:
    """Read a deferred record's headers; without sense, it counts as deferred and due just now.

    Somebody else may write to the topic, and a record must not be lost for its headers.
    """
    try:
        return Deferral.read(headers)
    except ValueError:
        return Deferral(Origin(topic, partition, offset), Source.DEFERRED, now_ms, now_ms, 0)


def credible(deferral: Deferral, now_ms: int, settings: ForwarderSettings) -> Deferral:
    """Bound times that no forwarder wrote: nothing waits for ever, or longer than the longest wait.

    Another machine's clock may run ahead, and somebody else may write to the topic.
    """
    latest_ms = now_ms + int(settings.deferral_max_seconds * 1000)
    if deferral.first_deferred_at_ms <= now_ms and deferral.not_before_ms <= latest_ms:
        return deferral
    return replace(
        deferral,
        first_deferred_at_ms=min(deferral.first_deferred_at_ms, now_ms),
        not_before_ms=min(deferral.not_before_ms, latest_ms),
    )


def is_past(deferral: Deferral, now_ms: int, seconds: float) -> bool:
    """Whether the record was first deferred longer ago than that."""
    return now_ms - deferral.first_deferred_at_ms >= seconds * 1000
