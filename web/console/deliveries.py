"""What the page *Delivery* says; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.outcomes import DeadLetterReason
from operations.dlq import REFUSED_AGAIN
from operations.lag import WorkspaceLag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operations.dlq import Entry
    from operations.status import Status

STATE_WORDS: Final = {
    "open": "Events are being sent.",
    "backing_off": "Heap asked for patience, or did not answer: the next try comes by itself.",
    "paused": "Paused: events wait, and nothing is lost.",
    "hold": "On hold: events wait until Send is turned on.",
    "send_off": "Send is off: events are skipped.",
    "not_connected": "Not connected to Heap: events are skipped.",
    "idle": "Nothing is waiting.",
}
PAUSE_WORDS: Final = {
    "unauthorized": "Heap refuses the app id. Check it, and where Heap keeps the environment.",
    "misconfigured": "Heap refuses most events. Is this the right environment?",
    "unavailable": "Heap has not answered for a while.",
    "dead_letters": "So many events could not be delivered that sending stopped: see below why.",
}
LETTER_WORDS: Final = {
    DeadLetterReason.UNDECODABLE: "The record is no event: something else wrote into the topic.",
    DeadLetterReason.UNKNOWN_SCHEMA: "It was written with a schema the registry does not know.",
    DeadLetterReason.WORKSPACE_MISSING: "It names no workspace.",
    DeadLetterReason.WORKSPACE_MISMATCH: "Its key and its content name different workspaces.",
    DeadLetterReason.EVENT_ID_MISSING: "It has no event id.",
    DeadLetterReason.NAME_MISSING: "It has no name.",
    DeadLetterReason.NAME_TOO_LONG: "Its name is longer than Heap takes.",
    DeadLetterReason.IDENTITY_TOO_LONG: "The user's id is longer than Heap takes.",
    DeadLetterReason.INVALID_PROPERTIES: "Its properties are no JSON object.",
    DeadLetterReason.INVALID_TIMESTAMP: "Its time is none.",
    DeadLetterReason.REJECTED_BY_HEAP: "Heap answered that it is wrong.",
    DeadLetterReason.TOO_LARGE: "It is larger than Heap takes.",
    DeadLetterReason.EXPIRED: "It waited for six days.",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One workspace's delivery now.

    Attributes:
        lag: what waits; all zero where nothing does.
        says: what its state means.
        budget_percent: of Heap's limit for the app, used in the last minute.
        paused: whether a person can do something about it.
    """

    lag: WorkspaceLag
    says: str
    budget_percent: int
    paused: bool


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters with one reason.

    Attributes:
        says: the reason in words.
        refused_again: whether sending them again would end the same way.
    """

    reason: str
    says: str
    count: int
    refused_again: bool


def delivery_of(workspace: str, status: Status | None) -> Delivery:
    """Tell of one workspace."""
    found = next(
        (w for w in (status.workspaces if status else ()) if w.workspace == workspace), None
    )
    lag = found or WorkspaceLag(workspace, "", "idle", "", 0, 0, 0.0, 0.0, 0)
    says = STATE_WORDS.get(lag.state, lag.state)
    if status and not status.forwarders and lag.state in {"open", "idle"}:
        says = "No forwarder runs: start `heapline forward`, or `heapline run`."
    if lag.state == "paused":
        says = f"{says} {PAUSE_WORDS.get(lag.reason, lag.reason)}"
    return Delivery(
        lag, says, round(100 * lag.budget_share), lag.state in {"paused", "backing_off"}
    )


def letter_groups(entries: Sequence[Entry]) -> list[LetterGroup]:
    """Count dead letters by reason, the most frequent first."""
    counts = Counter(each.reason for each in entries)
    return [
        LetterGroup(reason, letter_says(reason), count, reason in set(REFUSED_AGAIN))
        for reason, count in counts.most_common()
    ]


def letter_says(reason: str) -> str:
    """Give a reason in words."""
    words = {str(each): text for each, text in LETTER_WORDS.items()}
    return words.get(reason, reason.replace("_", " "))
