"""Heap's published limits, as the simulator's adjustable settings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

WINDOW_SECONDS = 60.0
"""Heap counts by the minute; the simulator slides that minute exactly."""


class Limits(BaseModel):
    """How much the simulator accepts.

    The defaults are Heap's (Heap, Bulk Track reference). They are stated here once more, and not
    imported from the product, so that a wrong number in the product shows.

    Attributes:
        events_per_minute_per_app: events of one app id in any 60 seconds.
        events_per_minute_per_identity: events of one identity (or user_id) of one app id in any
            60 seconds.
        events_per_request: events in one bulk request; one more is answered with 400.
        retry_after: what a 429 for these limits says about when to come back. Heap documents
            nothing, so the default is to say nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events_per_minute_per_app: int = Field(default=15_000, ge=0)
    events_per_minute_per_identity: int = Field(default=1_000, ge=0)
    events_per_request: int = Field(default=1_000, ge=1)
    retry_after: Literal["none", "seconds", "date"] = "none"
