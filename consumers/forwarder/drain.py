"""How the deferred records in the window get back into their lanes, and when not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heapline.outcomes import DeferReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumers.forwarder.desk import Desk
    from consumers.forwarder.lane import Lane
    from consumers.forwarder.read_ahead import ReadAhead
    from consumers.forwarder.record import Record
    from heapline.settings import ForwarderSettings, LimitSettings

_FED_REQUESTS: Final = 2
"""Deferred records stand in a lane for so many requests; the others wait in the window."""
_OVERFULL_SHARE: Final = 2
"""A lane with so many times that in it has more to send than deferred records alone can make."""
_ROOM_MADE_SHARE: Final = 0.1
"""A full window defers again until so much of it is free."""


class Drain:
    """Says how many deferred records a workspace can take, and whose must go again.

    Args:
        window: what was read ahead.
        desk_of, lane_of: a workspace's; it may have no lane now.
        limits, settings: see `heapline.settings`.
    """

    def __init__(
        self,
        window: ReadAhead,
        desk_of: Callable[[str], Desk],
        lane_of: Callable[[str], Lane | None],
        limits: LimitSettings,
        settings: ForwarderSettings,
    ) -> None:
        self.most_fed = _FED_REQUESTS * limits.events_per_request
        self._window = window
        self._desk_of = desk_of
        self._lane_of = lane_of
        self._room_made = max(1, int(settings.read_ahead_records * _ROOM_MADE_SHARE))

    def room(self, workspace: str, now: float) -> int:
        """Give how many deferred records a workspace's lane can take now.

        Those of identities over their own limit do not count: they must not stop the others.
        """
        if self._desk_of(workspace).holds:
            return 0
        lane = self._lane_of(workspace)
        if lane is None:
            return self.most_fed
        if not lane.open(now):
            return 1 if lane.wants_probe(now) else 0
        return max(0, self.most_fed - lane.waiting.unblocked)

    def make_room(
        self, workspace: str, now: float, now_ms: int
    ) -> list[tuple[Record, DeferReason]]:
        """Take due records to defer again, if the window is full and their lane is closed."""
        reason = self._closed_for(workspace, now) if self._window.full else None
        if reason is None:
            return []
        due = self._window.take_due(workspace, now_ms, self._room_made)
        return [(record, reason) for record in due]

    def let_in(self, elsewhere: Mapping[str, int], now: float) -> list[Record]:
        """Take records of a full window to defer again, for the sake of others behind it.

        Only where a lane with room has records in the topic and none in here; those taken are those
        that the workspace with the most in here would send last.

        Args:
            elsewhere: how many records of each workspace are in the topic and not in here.
            now: monotonic seconds.
        """
        window = self._window
        if not any(
            count and not window.backlog(workspace) and self.room(workspace, now)
            for workspace, count in elsewhere.items()
        ):
            return []
        counts = window.counts()
        largest = max(counts, key=counts.__getitem__)
        return window.take_last(largest, self._room_made)

    def _closed_for(self, workspace: str, now: float) -> DeferReason | None:
        """Tell why a lane takes no deferred records now; None where it takes them in their turn."""
        if self._desk_of(workspace).holds:
            return DeferReason.HOLD
        lane = self._lane_of(workspace)
        if lane is None:
            return None
        if lane.pause is not None:
            return lane.pause.defer_reason
        overfull = lane.waiting.unblocked >= _OVERFULL_SHARE * self.most_fed
        return DeferReason.OVER_LIMIT if overfull or not lane.open(now) else None
