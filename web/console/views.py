"""What the pages say, from what is known; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.events.catalogue import V1_TYPES, V2_NAMES
from heapline.heap.connection import Send
from heapline.outcomes import Outcome
from web.console import filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heapline.heap.connection import Connection
    from heapline.memberships import SegmentRow
    from web.console.data import EventCount
    from web.console.syncs import SyncView

STATUS_WORDS: Final = {
    "syncing": "A sync is running: pages are still arriving.",
    "complete": "Everybody Heap sent is in.",
    "partial": "Some pages never came. To get everybody again: turn the segment's toggle off in "
    "Heap, drain it here, and turn it on again.",
    "drained": "Everybody left. Heap sends all members again when its toggle is turned on.",
    "unknown": "No sync was seen yet.",
}
REASON_WORDS: Final = {
    "not_connected": "The workspace was not connected to Heap.",
    "disconnected": "The workspace was disconnected from Heap.",
    "send_off": "Send was off.",
    "filtered": "This event is switched off.",
    "not_sent_by_default": "Raw browsing or typing: off unless switched on.",
    "preview": "Previews in the editor are not sent.",
    "simulated": "Simulate mode is not sent.",
    "admin": "The customer's own staff is not sent.",
    "anonymous": "It carried no user id.",
    "erased": "The user was erased.",
}


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event name on the page *Events sent to Heap*.

    Attributes:
        on: whether it is sent.
        delivered: within the last day.
        last_at: when the latest was delivered, as text; empty for none.
        skipped: reasons in words, with counts.
    """

    name: str
    meaning: str
    on: bool
    delivered: int
    last_at: str
    skipped: tuple[tuple[str, int], ...]


def event_rows(connection: Connection, counts: Iterable[EventCount]) -> list[EventRow]:
    """Give a row for every event of the catalogue and every one seen, those seen most first."""
    seen = list(counts)
    delivered: Counter[str] = Counter()
    skipped: dict[str, Counter[str]] = {}
    last: dict[str, str] = {}
    for each in seen:
        if each.outcome == Outcome.DELIVERED:
            delivered[each.event] += each.records
            last[each.event] = max(last.get(each.event, ""), each.last_at)
        elif each.outcome == Outcome.SKIPPED:
            skipped.setdefault(each.event, Counter())[each.reason] += each.records
    known = {**V1_TYPES, **V2_NAMES}
    names = known_names(seen)
    rows = [
        EventRow(
            name,
            known.get(name, "not in the published catalogue"),
            filters.is_on(connection, name),
            delivered[name],
            last.get(name, ""),
            tuple(
                (REASON_WORDS.get(reason, reason.replace("_", " ")), count)
                for reason, count in skipped.get(name, Counter()).most_common()
            ),
        )
        for name in names
    ]
    return sorted(rows, key=lambda row: (-row.delivered, row.name))


def known_names(counts: Iterable[EventCount]) -> set[str]:
    """Give every name of the catalogue, and those seen."""
    return {*V1_TYPES, *V2_NAMES, *(each.event for each in counts if each.event)}


@dataclass(frozen=True, slots=True)
class Card:
    """One workspace on the first page.

    Attributes:
        send: `on`, `off` or `hold`.
        says: what the state means, in one sentence.
    """

    workspace: str
    send: str
    app_id: str
    says: str


def cards(connections: Sequence[Connection]) -> list[Card]:
    """Give a card for each workspace, by name."""
    return [
        Card(row.workspace, row.send.value, row.app_id or "", _says(row))
        for row in sorted(connections, key=lambda row: row.workspace)
    ]


def _says(row: Connection) -> str:
    if row.app_id is None:
        wants = row.send is Send.ON
        return "Starts when a Heap environment is chosen." if wants else "Not connected to Heap."
    if row.send is Send.ON:
        return f"Events are sent to Heap environment {row.app_id}."
    if row.send is Send.HOLD:
        return "Events wait until Send is turned on."
    return "Connected; events are not sent."


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One segment as its row on the page tells it.

    Attributes:
        says: what its state means.
        sync: its newest sync; None where nothing is known of any.
    """

    row: SegmentRow
    members: int
    says: str
    sync: SyncView | None = None


def segment_view(row: SegmentRow, members: int, sync: SyncView | None) -> SegmentView:
    """Say what a segment's state means."""
    says = STATUS_WORDS.get(row.status, row.status)
    if row.stale:
        says += " No news for more than nine hours, though it syncs every four: is it still on?"
    return SegmentView(row, members, says, sync)
