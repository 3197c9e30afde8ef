"""What waits, whose it is, and how long it takes under Heap's limits; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from consumers.forwarder.observation import drain_seconds
from heapline.heap.connection import Send

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.forwarder.status import Blocker, ForwarderStatus, WorkspaceStatus
    from heapline.heap.connection import Connection
    from heapline.settings import LimitSettings

_ORDER: Final = ("paused", "backing_off", "hold", "open", "send_off", "not_connected")


@dataclass(frozen=True, slots=True)
class WorkspaceLag:
    """One workspace with something waiting, or in trouble.

    Attributes:
        state: `paused`, `backing_off`, `hold`, `open`, `send_off` or `not_connected`; events of the
            last two are skipped as fast as they are read.
        reason: why it is paused.
        waiting: events before their first decision, in a lane, or in a request.
        deferred: events in the deferred topic.
        drain_seconds: until all of that is in Heap at the permitted rate; None while nothing moves.
        budget_share: of Heap's limit for the app, how much the last minute has used.
        next_try_ms: when Heap is tried again; 0 where it need not wait.
    """

    workspace: str
    app_id: str
    state: str
    reason: str
    waiting: int
    deferred: int
    drain_seconds: float | None
    budget_share: float
    next_try_ms: int


@dataclass(frozen=True, slots=True)
class BlockedCheckpoint:
    """A partition whose checkpoint waits for one record."""

    partition: str
    instance_id: str
    blocker: Blocker


@dataclass(slots=True)
class Unread:
    """Records no forwarder has read, by workspace.

    Attributes:
        events, deferred: counts.
        complete: False where counting stopped early: then there are at least so many.
    """

    events: Counter[str] = field(default_factory=Counter)
    deferred: Counter[str] = field(default_factory=Counter)
    complete: bool = True


def positions(alive: Iterable[ForwarderStatus]) -> dict[tuple[str, int], int]:
    """Give how far the running forwarders have read, by topic and partition."""
    return {(p.topic, p.number): p.position for status in alive for p in status.partitions}


def blocked(alive: Iterable[ForwarderStatus]) -> list[BlockedCheckpoint]:
    """Give the records that block a checkpoint, the longest first."""
    found = [
        BlockedCheckpoint(f"{p.topic}[{p.number}]", status.instance_id, p.blocker)
        for status in alive
        for p in status.partitions
        if p.blocker is not None
    ]
    return sorted(found, key=lambda each: each.blocker.since_ms)


def workspaces(
    alive: Iterable[ForwarderStatus],
    unread: Unread,
    connections: Mapping[str, Connection],
    limits: LimitSettings,
) -> list[WorkspaceLag]:
    """Put together what the forwarders say and what they have not read yet.

    Args:
        alive: running forwarders; without any, nothing moves and no time is given.
        unread: counted in the topics.
        connections: by workspace.
        limits: Heap's.
    """
    statuses = list(alive)
    told: dict[str, WorkspaceStatus] = {w.workspace: w for s in statuses for w in s.workspaces}
    names = told.keys() | unread.events.keys() | unread.deferred.keys()
    moving = bool(statuses)
    found = [
        _of_one(name, told.get(name), unread, connections.get(name), limits, moving=moving)
        for name in names
    ]
    return sorted(
        found, key=lambda w: (_ORDER.index(w.state), -(w.waiting + w.deferred), w.workspace)
    )


def _of_one(
    workspace: str,
    told: WorkspaceStatus | None,
    unread: Unread,
    connection: Connection | None,
    limits: LimitSettings,
    *,
    moving: bool,
) -> WorkspaceLag:
    state = _state(told, connection)
    waiting = unread.events[workspace] + (told.waiting + told.in_flight if told else 0)
    deferred = unread.deferred[workspace] + (told.read_ahead if told else 0)
    seconds = None
    if moving and state in {"open", "backing_off"}:
        own = told.drain_seconds or 0.0 if told else 0.0
        seconds = max(own, drain_seconds(waiting + deferred, 0, limits))
    elif moving and state in {"send_off", "not_connected"}:
        seconds = 0.0
    return WorkspaceLag(
        workspace,
        (told.app_id if told else "") or (connection.app_id if connection else None) or "",
        state,
        told.reason if told else "",
        waiting,
        deferred,
        seconds,
        told.budget_share if told else 0.0,
        told.next_try_ms if told else 0,
    )


def _state(told: WorkspaceStatus | None, connection: Connection | None) -> str:
    if connection is None or not connection.connected:
        return "not_connected"
    if connection.send is Send.OFF:
        return "send_off"
    if connection.send is Send.HOLD:
        return "hold"
    return "open" if told is None else told.state
