"""How new an answer is, and which segments make it doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.output import tell
from cli.plain_text import printable
from heapline.clock import SystemClock
from web.lookup_times import time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.memberships import Freshness, Memberships, SegmentRow

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def freshness_fields(freshness: Freshness) -> dict[str, Any]:
    """Give it for JSON."""
    return {"generation": freshness.generation, "as_of": time_text(freshness.as_of_ms)}


def tell_freshness(freshness: Freshness) -> None:
    """Say it to the person."""
    age_ms = SystemClock().epoch_ms() - freshness.as_of_ms
    tell(
        f"Generation {freshness.generation} of the index, made {age_text(age_ms)} ago, "
        f"at {time_text(freshness.as_of_ms)}."
    )


def tell_doubts(view: Memberships, workspace: str, segments: Iterable[str]) -> None:
    """Say of each doubtful segment why answers about it may be wrong."""
    for segment in segments:
        row = view.segment(workspace, segment)
        if row.doubtful:
            tell(f"Doubtful: segment {printable(row.name or row.segment_id)}: {doubt(row)}")


def doubt(row: SegmentRow) -> str:
    """Say why answers about a segment may be wrong, and what to do; empty where they are not."""
    if row.disconnected:
        return "it belongs to a Heap environment that was left, and is being emptied"
    if row.status == "partial" or row.has_gap:
        missing = "pages of an earlier sync are" if row.has_gap else "a part of its last sync is"
        return (
            f"{missing} missing. To get everyone again: turn its sync off in "
            "Heap, drain it here, turn the sync on"
        )
    if row.stale:
        return f"no news since {time_text(row.last_synced_at_ms) or 'it appeared'}"
    return ""


def age_text(age_ms: int) -> str:
    """Write an age in its largest unit, like `3 min`."""
    seconds = max(0, age_ms) // 1_000
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds // size} {unit}"
