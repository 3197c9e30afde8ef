"""Reads off the dispatcher what an operator wants to know; changes nothing, decides nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from consumers.forwarder.status import Blocker, PartitionStatus, WorkspaceStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from consumers.forwarder.dispatcher import Dispatcher
    from consumers.forwarder.lane import Lane
    from consumers.forwarder.record import Now, Record
    from heapline.settings import LimitSettings

MOST_WORKSPACES: Final = 200
"""Listed in one status; a forwarder may serve thousands, and a record must stay small."""
_TURN: Final = "waits for its turn"
_TROUBLE: Final = {"paused": 0, "backing_off": 1, "hold": 2, "open": 3}


def partitions(dispatcher: Dispatcher, now: Now) -> Iterator[PartitionStatus]:
    """Tell where each partition stands and which record blocks its checkpoint."""
    for (topic, number), tracker in dispatcher.trackers.items():
        record = tracker.blocker()
        blocker = None if record is None else _blocker(dispatcher, record, now)
        yield PartitionStatus(topic, number, tracker.position, len(tracker), blocker)


def _blocker(dispatcher: Dispatcher, record: Record, now: Now) -> Blocker:
    since_ms = now.epoch_ms - int((now.monotonic - record.read_at) * 1000)
    return Blocker(record.offset, since_ms, record.workspace, why_waiting(dispatcher, record, now))


def why_waiting(dispatcher: Dispatcher, record: Record, now: Now) -> str:
    """Say in words what an unsettled record waits for."""
    if not record.workspace:
        return "its schema id is not known to the registry yet"
    if not record.identity:
        return _why_deferred(record, now.epoch_ms)
    lane = dispatcher.lane_of(record.workspace)
    return _TURN if lane is None else _why_in_lane(lane, record, now.monotonic)


def _why_deferred(record: Record, now_ms: int) -> str:
    deferral = record.deferral
    reason = f" ({deferral.reason})" if deferral is not None and deferral.reason else ""
    due_ms = deferral.not_before_ms if deferral is not None else now_ms
    if due_ms <= now_ms:
        return f"deferred{reason}, due, and its workspace takes nothing now"
    return f"deferred{reason}, due in {(due_ms - now_ms) // 1000} s"


def _why_in_lane(lane: Lane, record: Record, now: float) -> str:
    in_flight = any(request.holds(record) for request in lane.in_flight.values())
    used = lane.budget.identity_used(record.identity)
    reasons = (
        (in_flight, "in a request to Heap that is not answered yet"),
        (lane.pause is not None, f"its workspace is paused ({lane.pause})"),
        (not lane.open(now), "Heap failed or asked to wait; tried again soon"),
        (lane.budget.room(now) <= 0, "its app is at Heap's limit"),
        (used >= lane.budget.identity_allowance(now), "its user is at Heap's limit"),
    )
    return next((words for holds, words in reasons if holds), _TURN)


def workspaces(
    dispatcher: Dispatcher, limits: LimitSettings, now: Now
) -> tuple[list[WorkspaceStatus], int]:
    """Tell of workspaces with something waiting or in trouble; and how many were left out."""
    ahead = Counter(dispatcher.window.counts())
    deferred = ahead.copy()
    deferred.update(dispatcher.settling.deferred_elsewhere())
    found = [*_lanes(dispatcher.lanes.values(), deferred, ahead, limits, now)]
    told = {each.workspace for each in found}
    for workspace, count in deferred.items():
        if workspace not in told and count > 0:
            held = dispatcher.holds(workspace)
            found.append(
                WorkspaceStatus(
                    workspace,
                    "",
                    "hold" if held else "open",
                    deferred=count,
                    read_ahead=ahead[workspace],
                    drain_seconds=None if held else drain_seconds(count, 0, limits),
                )
            )
    found.sort(key=lambda w: (_TROUBLE[w.state], -(w.waiting + w.deferred)))
    return found[:MOST_WORKSPACES], max(0, len(found) - MOST_WORKSPACES)


def _lanes(
    lanes: Iterable[Lane],
    deferred: Counter[str],
    ahead: Counter[str],
    limits: LimitSettings,
    now: Now,
) -> Iterator[WorkspaceStatus]:
    for lane in lanes:
        behind = deferred.get(lane.workspace, 0)
        state = _state(lane, now.monotonic)
        if state == "open" and lane.idle and not behind:
            continue
        waiting, blocked = len(lane.waiting), lane.waiting.blocked
        tries_at = lane.next_try(now.monotonic)
        yield WorkspaceStatus(
            lane.workspace,
            lane.key.app_id,
            state,
            "" if lane.pause is None else lane.pause.value,
            0 if tries_at is None else now.epoch_ms + int((tries_at - now.monotonic) * 1000),
            waiting,
            blocked,
            sum(request.events for request in lane.in_flight.values()),
            behind,
            ahead[lane.workspace],
            round(lane.budget.in_use_share(), 4),
            None
            if lane.pause is not None
            else drain_seconds(waiting + behind, lane.waiting.most_of_one_identity(), limits),
        )


def _state(lane: Lane, now: float) -> str:
    if lane.pause is not None:
        return "paused"
    return "open" if lane.open(now) else "backing_off"


def drain_seconds(events: int, of_one_identity: int, limits: LimitSettings) -> float:
    """Give how long events take under Heap's limits, of which so many belong to one identity."""
    per_app = events / limits.events_per_minute_per_app
    per_identity = of_one_identity / limits.events_per_minute_per_identity
    return round(60.0 * max(per_app, per_identity), 1)
