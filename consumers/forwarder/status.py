"""What a running forwarder says of itself: one small record of a compacted topic, by instance id.

Another process knows the lag by the topics and the group's offsets alone. What only the forwarder
knows - which lanes are paused, how full their budgets are, which record blocks a checkpoint and why
- it writes down every few seconds, so that nobody needs to find its port. A record is a snapshot
and never an account: outcomes are counted in `commandai.outcome-counts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

import orjson
from pydantic import TypeAdapter, ValidationError

SILENT_AFTER_SECONDS: Final = 15.0
"""A forwarder that wrote nothing for so long has died or cannot reach the brokers."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """The record that keeps a partition's checkpoint from going on.

    Attributes:
        offset: where it stands.
        since_ms: when it was read, milliseconds since 1970-01-01 UTC.
        workspace: whose it is; empty while unknown.
        why: in words.
    """

    offset: int
    since_ms: int
    workspace: str
    why: str


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition this forwarder owns.

    Attributes:
        position: the offset it reads next.
        held: records read and not yet checkpointed.
        blocker: None where nothing waits.
    """

    topic: str
    number: int
    position: int
    held: int
    blocker: Blocker | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """One workspace that has something waiting here, or whose Heap app is in trouble.

    Attributes:
        state: `open`, `backing_off`, `paused`, or `hold`.
        reason: why it is paused; empty where it is not.
        next_try_ms: when a paused or backing lane tries again; 0 where it need not wait.
        waiting: events in the lane.
        over_identity_limit: how many of them wait for their own user's limit.
        in_flight: events in requests under way.
        deferred: events known to wait in the deferred topic, `read_ahead` of them in memory.
        budget_share: of Heap's limit for the app, how much the last minute has used.
        drain_seconds: how long all of that takes under Heap's limits; None while it does not move.
    """

    workspace: str
    app_id: str
    state: str
    reason: str = ""
    next_try_ms: int = 0
    waiting: int = 0
    over_identity_limit: int = 0
    in_flight: int = 0
    deferred: int = 0
    read_ahead: int = 0
    budget_share: float = 0.0
    drain_seconds: float | None = 0.0


@dataclass(frozen=True, slots=True)
class ForwarderStatus:
    """One forwarder.

    Attributes:
        at_ms, started_ms: milliseconds since 1970-01-01 UTC.
        partitions: those it owns.
        workspaces: the most troubled first; `more_workspaces` counts those left out.
        requests: since the start, by verdict.
        in_flight: requests under way.
        held_bytes, memory_bytes: reckoned for records held, and the bound.
        checkpoint_failures: of the checkpoint under way; 0 when all is well.
        request_events, retried_events: since the start: events in all requests, and in those that
            Heap did not take.
        outcomes: records checkpointed since the start, by outcome.
    """

    instance_id: str
    at_ms: int
    started_ms: int
    partitions: list[PartitionStatus] = field(default_factory=list)
    workspaces: list[WorkspaceStatus] = field(default_factory=list)
    more_workspaces: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    held_bytes: int = 0
    memory_bytes: int = 0
    checkpoint_failures: int = 0
    request_events: int = 0
    retried_events: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    def silent(self, now_ms: int) -> bool:
        """Whether it has not been heard of for so long that it must be gone."""
        return now_ms - self.at_ms > SILENT_AFTER_SECONDS * 1000

    def to_json(self) -> bytes:
        """Write the record's value."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, value: bytes) -> ForwarderStatus:
        """Read a record's value; fields of newer versions are passed over.

        Raises:
            ValueError: it is something else.
        """
        try:
            return _reader().validate_json(value)
        except ValidationError as error:
            raise ValueError("no forwarder's status") from error


@cache
def _reader() -> TypeAdapter[ForwarderStatus]:
    """Only who reads pays for it: making it takes a tenth of a second."""
    return TypeAdapter(ForwarderStatus)
