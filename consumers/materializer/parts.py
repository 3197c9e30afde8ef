"""What reading gives, in the order of each partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from consumers.materializer.pages import Run
    from consumers.materializer.segment_rows import VisibleRow
    from state.payload import OutcomeFacts


class ChangesRead(NamedTuple):
    """Membership records of one partition."""

    partition: int
    run: Run


class RowRead(NamedTuple):
    """A record of `heap.segments`; the row is None where it is none."""

    partition: int
    offset: int
    row: VisibleRow | None


class OutcomesRead(NamedTuple):
    """A record of `commandai.outcome-counts`."""

    partition: int
    offset: int
    outcomes: list[OutcomeFacts]


class EndRead(NamedTuple):
    """Everything committed before this offset was read; `what` as the assembler names it."""

    what: str
    partition: int
    offset: int


Part = ChangesRead | RowRead | OutcomesRead | EndRead
