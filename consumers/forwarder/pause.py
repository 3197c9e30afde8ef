"""Why a lane is paused."""

from __future__ import annotations

from enum import StrEnum

from heapline.outcomes import DeferReason


class Pause(StrEnum):
    """Why a lane sends nothing but probes."""

    UNAUTHORIZED = "unauthorized"
    MISCONFIGURED = "misconfigured"
    UNAVAILABLE = "unavailable"
    DEAD_LETTERS = "dead_letters"

    @property
    def defer_reason(self) -> DeferReason:
        """The reason its records are deferred with."""
        return DeferReason(f"paused_{self.value}")
