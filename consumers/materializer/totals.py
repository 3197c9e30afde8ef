"""What a materializer did, for its summary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Totals:
    """Sums since the start.

    Attributes:
        records: membership records applied, those that change nothing too.
        changes: enters and leaves.
        rows: segment rows shown.
        outcomes: outcome counts added.
        payloads: transactions.
        seconds: how long it ran.
        rebuilt: why the store was built anew; None where it was not.
        index_built: whether the index was built anew from the store.
    """

    records: int = 0
    changes: int = 0
    rows: int = 0
    outcomes: int = 0
    payloads: int = 0
    seconds: float = 0.0
    rebuilt: str | None = None
    index_built: bool = False
