"""What is counted of settled records and rows; imported without what rows need."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from heapline.outcomes import DeadLetterReason, DeferReason, Outcome, SkipReason, Source

ROW_BYTES: Final = 150
"""Memory reckoned for a row besides its value and body: its place in columns, the bytes object."""


class Kind(NamedTuple):
    """What is counted of a settled record, in the order `checkpoint` counts it."""

    workspace: str
    source: Source
    name: str
    outcome: Outcome | None
    reason: SkipReason | DeadLetterReason | DeferReason | None
    minute_ms: int


@dataclass(slots=True)
class Tally:
    """How many rows a checkpoint takes, and their outcomes."""

    rows: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
