"""Why an event is or is not in Heap: a judgement over facts, and never a guess; pure.

There is no ledger of events. Where a record stands in the topics, how far the group's offsets are,
what the DLQ and the deferred topic hold of it, and what the gate says of it: that is nearly always
enough. Where the workspace's settings have changed since, the gate of today proves nothing about
then; the outcome counts of events with this name may still tell, and if not, the answer says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from consumers.forwarder.gate import Gate
from consumers.forwarder.totals import advice
from heapline.outcomes import DeferReason, Outcome, SkipReason, Source
from operations.times import write_time

if TYPE_CHECKING:
    from heapline.events.model import Event
    from heapline.heap.connection import Connection
    from heapline.kafka.headers import DeadLetter, Deferral, Origin


class Verdict(StrEnum):
    """What became of an event."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    SKIPPED = "skipped"
    DEAD_LETTERED = "dead_lettered"
    UNCLEAR = "unclear"
    """Delivered or skipped, and the settings of then are not known any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as it stands in a topic.

    Attributes:
        written_at_ms: milliseconds since 1970-01-01 UTC.
        settled: whether the group's offsets have passed it.
    """

    origin: Origin
    written_at_ms: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known of one published record.

    Attributes:
        published: None where the topic no longer holds it.
        event: what it says; None where that is not known.
        letter, letter_at, letter_replayed: its dead letter, where in the DLQ, and whether it was
            sent again.
        deferral, deferred: its newest copy in the deferred topic, and where that stands.
        connection: of its workspace, as it is now.
        counts: outcomes of events with its name since it was published, by (outcome, reason).
        forwarder: what the owner of its partition says: `none`, `unread`, or a lane's state with
            its reason, such as `paused unauthorized`.
        ahead: offsets before it that are not settled either.
    """

    published: Standing | None
    event: Event | None
    connection: Connection | None
    letter: DeadLetter | None = None
    letter_at: str = ""
    letter_replayed: bool = False
    deferral: Deferral | None = None
    deferred: Standing | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    forwarder: str = "none"
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer.

    Attributes:
        reason: a name of the closed sets in `heapline.outcomes`, where there is one.
        because: one sentence.
        changed: what has changed since, where that matters.
        to_change_it: a command, where one would help.
    """

    verdict: Verdict
    because: str
    reason: str = ""
    changed: str = ""
    to_change_it: str = ""


def explain(facts: Facts) -> Explanation:
    """Judge; the newest trace of a record decides."""
    if facts.letter is not None and not facts.letter_replayed:
        return _dead(facts, facts.letter)
    if facts.deferred is not None and facts.deferral is not None:
        if not facts.deferred.settled:
            return _deferred(facts, facts.deferral)
        return _settled(facts, facts.deferred.written_at_ms)
    if facts.published is not None and not facts.published.settled:
        return _not_settled(facts)
    return _settled(facts, facts.published.written_at_ms if facts.published else 0)


def _dead(facts: Facts, letter: DeadLetter) -> Explanation:
    answer = f"; Heap answered {letter.status}" if letter.status is not None else ""
    said = f" ({letter.body_excerpt})" if letter.body_excerpt else ""
    tries = f" after {letter.attempts} requests" if letter.attempts else ""
    return Explanation(
        Verdict.DEAD_LETTERED,
        f"{letter.error}{answer}{said}{tries}, at {write_time(letter.last_failure_at_ms)}",
        str(letter.reason),
        to_change_it=f"heapline dlq show {facts.letter_at}",
    )


def _deferred(facts: Facts, deferral: Deferral) -> Explanation:
    since = write_time(deferral.first_deferred_at_ms)
    due = write_time(deferral.not_before_ms)
    if deferral.source is Source.REPLAY and deferral.deferrals == 0:
        because = f"it was sent again at {since} and has not been settled since"
        return Explanation(Verdict.WAITING, because + _runs(facts), "replay", _now_skipped(facts))
    reason = str(deferral.reason or "")
    words = _DEFERRED.get(reason, "its turn has not come")
    times = f"deferred {deferral.deferrals} times since {since}"
    because = f"{words}; {times}, its turn expected by {due}"
    command = advice(facts.event.workspace if facts.event else "", reason) or ""
    return Explanation(
        Verdict.WAITING, because + _runs(facts), reason, _now_skipped(facts), command
    )


def _runs(facts: Facts) -> str:
    return "; no forwarder owns its partition now" if facts.forwarder == "none" else ""


_DEFERRED: Final[dict[str, str]] = {
    DeferReason.HOLD: "Send is on hold",
    DeferReason.PAUSED_UNAUTHORIZED: "Heap refuses the workspace's app id",
    DeferReason.PAUSED_MISCONFIGURED: "Heap refuses most of the workspace's events",
    DeferReason.PAUSED_UNAVAILABLE: "Heap does not answer for this workspace",
    DeferReason.PAUSED_DEAD_LETTERS: "too many of the workspace's events are dead-lettered",
    DeferReason.OVER_LIMIT: "the workspace is over Heap's limit for its app",
    DeferReason.IDENTITY_OVER_LIMIT: "its user is over Heap's limit for one user",
    DeferReason.TOO_OLD: "it waited for longer than a lane may hold it",
}


def _not_settled(facts: Facts) -> Explanation:
    if facts.forwarder == "none":
        return Explanation(
            Verdict.WAITING,
            f"no forwarder owns its partition; {facts.ahead:,} offsets before it are not settled",
            "no_forwarder",
            _now_skipped(facts),
            "heapline forward",
        )
    if facts.forwarder == "unread":
        because = f"the forwarder has not read it yet; {facts.ahead:,} offsets are before it"
        return Explanation(Verdict.WAITING, because, "unread", _now_skipped(facts))
    because = f"the forwarder holds it; its workspace is {facts.forwarder}"
    return Explanation(Verdict.WAITING, because, "in_lane", _now_skipped(facts), "heapline status")


def _now_skipped(facts: Facts) -> str:
    """Say when what waits will be skipped by the settings of now."""
    refused = Gate(facts.connection).judge(facts.event) if facts.event is not None else None
    return "" if refused is None else f"by the settings of now it will be skipped ({refused})"


def _settled(facts: Facts, since_ms: int) -> Explanation:
    """Delivered or skipped: that it is in neither DLQ nor deferred topic leaves only these."""
    if facts.event is None:
        because = "it was settled and is not in the DLQ, but its content is not known any more"
        return Explanation(Verdict.UNCLEAR, because)
    refused = Gate(facts.connection).judge(facts.event)
    if refused in _OF_THE_EVENT:
        return _skipped(facts, refused, "whatever the settings were")
    changed_ms = facts.connection.updated_at_ms if facts.connection is not None else None
    if changed_ms is not None and changed_ms <= since_ms:
        if refused is None:
            return _delivered(facts, "the settings let it through and have not changed since")
        return _skipped(facts, refused, "by settings that have not changed since")
    return _by_counts(facts, refused)


_OF_THE_EVENT: Final = (SkipReason.PREVIEW, SkipReason.SIMULATED, SkipReason.ADMIN)
"""Refusals that lie in the event: it was skipped, even if an earlier question refused it."""


def _by_counts(facts: Facts, refused: SkipReason | None) -> Explanation:
    """The settings have changed: see whether all events of this name had one outcome."""
    kinds = [kind for kind in facts.counts if kind[0] in {Outcome.DELIVERED, Outcome.SKIPPED}]
    changed = _changed(facts, refused)
    if len(kinds) == 1:
        outcome, reason = kinds[0]
        number = f"all {facts.counts[kinds[0]]:,} events of this name settled since then were"
        if outcome == Outcome.DELIVERED:
            return _delivered(facts, f"{number} delivered", changed)
        return _skipped(facts, SkipReason(reason), f"{number} skipped for that", changed)
    told = ", ".join(f"{o} {r} {n:,}".replace("  ", " ") for (o, r), n in facts.counts.items())
    because = f"it was settled, and is neither in the DLQ nor deferred; events of its name: {told}"
    return Explanation(Verdict.UNCLEAR, because, changed=changed)


def _changed(facts: Facts, refused: SkipReason | None) -> str:
    now = "would be sent" if refused is None else f"would be skipped ({refused})"
    if facts.connection is None:
        return f"the workspace has no connection now, and when it had one is not known; it {now}"
    when, version = write_time(facts.connection.updated_at_ms), facts.connection.version
    return f"the settings changed at {when} (version {version}); by those of now it {now}"


def _delivered(facts: Facts, why: str, changed: str = "") -> Explanation:
    connection = facts.connection
    place = f"to app {connection.app_id} ({connection.region})" if connection else "to Heap"
    key = facts.event.event_id if facts.event else ""
    because = f"Heap answered 200 {place}, under the idempotency key {key}: {why}"
    return Explanation(Verdict.DELIVERED, because, changed=changed)


def _skipped(facts: Facts, reason: SkipReason | None, why: str, changed: str = "") -> Explanation:
    workspace = facts.event.workspace if facts.event else ""
    command = advice(workspace, str(reason)) or ""
    words = _SKIPPED.get(str(reason), str(reason))
    return Explanation(Verdict.SKIPPED, f"{words}: {why}", str(reason), changed, command)


_SKIPPED: Final[dict[str, str]] = {
    SkipReason.NOT_CONNECTED: "the workspace is not connected to Heap",
    SkipReason.DISCONNECTED: "the workspace was disconnected from Heap",
    SkipReason.SEND_OFF: "Send is off",
    SkipReason.FILTERED: "its name does not pass the filters",
    SkipReason.NOT_SENT_BY_DEFAULT: "its name is off unless an include spells it out",
    SkipReason.PREVIEW: "it is a preview",
    SkipReason.SIMULATED: "it is simulated",
    SkipReason.ADMIN: "an administrator did it",
    SkipReason.ANONYMOUS: "it has no user id",
    SkipReason.ERASED: "its user was erased since it was accepted",
}
