"""Notices a flood of dead letters, which means a fault upstream and not in the records."""

from __future__ import annotations

from collections import deque
from typing import Final

_WINDOW_SECONDS: Final = 60.0
_WORKSPACES_REMEMBERED: Final = 1_000
"""Anybody can make up keys; those of which nothing was heard for a minute are forgotten."""


class FloodMeter:
    """Counts dead letters by workspace over the last minute.

    Args:
        most_per_minute: beyond which it is a flood.
    """

    def __init__(self, most_per_minute: int) -> None:
        self._most = most_per_minute
        self._times: dict[str, deque[float]] = {}

    def admits(self, workspace: str, now: float) -> bool:
        """Count one more dead letter; False, uncounted, when that would be a flood."""
        if len(self._times) >= _WORKSPACES_REMEMBERED and workspace not in self._times:
            self._forget(now - _WINDOW_SECONDS)
        times = self._times.setdefault(workspace, deque())
        while times and times[0] <= now - _WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self._most:
            return False
        times.append(now)
        return True

    def _forget(self, before: float) -> None:
        self._times = {w: times for w, times in self._times.items() if times and times[-1] > before}
