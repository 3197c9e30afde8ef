"""Each answer to "why is my event not in Heap?", and no answer where it would be a guess."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.headers import DeadLetter, Deferral, Origin
from heapline.outcomes import DeadLetterReason, DeferReason, Source
from heapline.words import AppId, EventId, UserId, Workspace
from operations.explanation import Facts, Standing, Verdict, explain

PUBLISHED_MS = 1_760_000_000_000
ORIGIN = Origin("events", 0, 7)
EVENT = Event(
    EventId("e-1"), Workspace("acme"), "nudge_shown", UserId("u"), PUBLISHED_MS, PUBLISHED_MS
)
CONNECTION = Connection(
    Workspace("acme"), 3, PUBLISHED_MS - 1, AppId("11"), Region.US, Send.ON, exclude=("survey_*",)
)
LETTER = DeadLetter(
    ORIGIN, DeadLetterReason.REJECTED_BY_HEAP, "acme", "e-1", "refused alone", 400, "bad", 9
)


def facts(*, settled: bool = True, **more: Any) -> Facts:  # noqa: ANN401 -- any fact
    """Make the facts of a published event; settled and untouched since, unless said otherwise."""
    plain: dict[str, Any] = {"event": EVENT, "connection": CONNECTION, "forwarder": "open"}
    return Facts(Standing(ORIGIN, PUBLISHED_MS, settled), **(plain | more))


def waits(reason: DeferReason | None, *, settled: bool = False, **more: Any) -> Facts:  # noqa: ANN401 -- any fact
    """Make the facts of an event with a copy in the deferred topic."""
    source = Source.REPLAY if reason is None else Source.DEFERRED
    deferral = Deferral(ORIGIN, source, PUBLISHED_MS, PUBLISHED_MS + 60_000, 0, reason)
    if reason is not None:
        deferral = replace(deferral, deferrals=2)
    standing = Standing(Origin("deferred", 0, 3), PUBLISHED_MS, settled)
    return facts(deferral=deferral, deferred=standing, **more)


def test_settled_by_settings_that_did_not_change_is_delivered() -> None:
    """It is in neither DLQ nor deferred topic, and the gate let it through."""
    said = explain(facts())
    assert said.verdict is Verdict.DELIVERED
    assert "app 11 (us)" in said.because
    assert "idempotency key e-1" in said.because
    assert not said.changed


@pytest.mark.parametrize(
    ("event", "connection", "reason"),
    [
        (replace(EVENT, name="survey_shown"), CONNECTION, "filtered"),
        (replace(EVENT, name="cb:input"), CONNECTION, "not_sent_by_default"),
        (replace(EVENT, user_id=None), CONNECTION, "anonymous"),
        (replace(EVENT, is_preview=True), CONNECTION, "preview"),
        (replace(EVENT, is_admin=True), CONNECTION, "admin"),
        (EVENT, replace(CONNECTION, send=Send.OFF), "send_off"),
        (EVENT, replace(CONNECTION, app_id=None), "not_connected"),
    ],
)
def test_settled_and_refused_by_the_same_settings_is_skipped(
    event: Event, connection: Connection, reason: str
) -> None:
    """The gate of now is the gate of then; where a command changes it, it is named."""
    said = explain(facts(event=event, connection=connection))
    assert (said.verdict, said.reason) == (Verdict.SKIPPED, reason)
    if reason in {"filtered", "not_sent_by_default", "anonymous", "send_off", "not_connected"}:
        assert "heapline connections set acme" in said.to_change_it


CHANGED = replace(CONNECTION, updated_at_ms=PUBLISHED_MS + 5, version=4)


def test_changed_settings_are_no_proof_and_counts_may_be() -> None:
    """All events of that name since then were delivered, or all were skipped for one reason."""
    delivered = explain(facts(connection=CHANGED, counts=Counter({("delivered", ""): 5})))
    assert delivered.verdict is Verdict.DELIVERED
    assert "all 5 events of this name" in delivered.because
    assert "version 4" in delivered.changed
    skipped = explain(facts(connection=CHANGED, counts=Counter({("skipped", "send_off"): 2})))
    assert (skipped.verdict, skipped.reason) == (Verdict.SKIPPED, "send_off")
    assert "would be sent" in skipped.changed


def test_where_nothing_proves_it_the_answer_says_so() -> None:
    """Settings changed, and events of this name were both delivered and skipped."""
    counts = Counter({("delivered", ""): 5, ("skipped", "send_off"): 2})
    said = explain(facts(connection=CHANGED, counts=counts))
    assert said.verdict is Verdict.UNCLEAR
    assert "delivered 5" in said.because
    assert "skipped send_off 2" in said.because
    assert "the settings changed at" in said.changed


def test_a_refusal_that_lies_in_the_event_needs_no_settings() -> None:
    """A preview is skipped whatever the settings were."""
    event = replace(EVENT, is_preview=True)
    said = explain(facts(event=event, connection=CHANGED))
    assert (said.verdict, said.reason) == (Verdict.SKIPPED, "preview")


def test_a_workspace_without_connection_is_judged_by_the_counts() -> None:
    """Nobody knows when it went; the counts do."""
    counts = Counter({("skipped", "not_connected"): 1})
    said = explain(facts(connection=None, counts=counts))
    assert (said.verdict, said.reason) == (Verdict.SKIPPED, "not_connected")


def test_a_dead_letter_says_why_and_where() -> None:
    """With Heap's answer and the command that shows it; once replayed it decides nothing."""
    said = explain(facts(letter=LETTER, letter_at="3/15"))
    assert (said.verdict, said.reason) == (Verdict.DEAD_LETTERED, "rejected_by_heap")
    for part in ("refused alone", "400", "bad", "9 requests"):
        assert part in said.because
    assert said.to_change_it == "heapline dlq show 3/15"
    again = explain(waits(None, letter=LETTER, letter_at="3/15", letter_replayed=True))
    assert (again.verdict, again.reason) == (Verdict.WAITING, "replay")
    assert "sent again" in again.because


@pytest.mark.parametrize("reason", list(DeferReason))
def test_a_deferred_event_waits_for_what_deferred_it(reason: DeferReason) -> None:
    """In words, with the time of the next look, and a command where a person can help."""
    said = explain(waits(reason))
    assert (said.verdict, said.reason) == (Verdict.WAITING, reason)
    assert "deferred 2 times" in said.because
    assert bool(said.to_change_it) == (
        reason
        in {
            DeferReason.HOLD,
            DeferReason.PAUSED_UNAUTHORIZED,
            DeferReason.PAUSED_MISCONFIGURED,
            DeferReason.PAUSED_DEAD_LETTERS,
        }
    )


def test_a_deferred_event_that_was_settled_is_judged_like_any_other() -> None:
    """By the time of its last deferral: what changed before that was in force."""
    assert explain(waits(DeferReason.HOLD, settled=True)).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("forwarder", "reason", "words"),
    [
        ("none", "no_forwarder", "no forwarder owns its partition"),
        ("unread", "unread", "has not read it yet; 4 offsets are before it"),
        ("paused unauthorized", "in_lane", "paused unauthorized"),
    ],
)
def test_an_unsettled_event_waits(forwarder: str, reason: str, words: str) -> None:
    """For a forwarder, for its turn, or in a lane; and what the settings of now will do to it."""
    said = explain(facts(settled=False, forwarder=forwarder, ahead=4))
    assert (said.verdict, said.reason) == (Verdict.WAITING, reason)
    assert words in said.because
    assert not said.changed
    off = replace(CONNECTION, send=Send.OFF)
    doomed = explain(facts(settled=False, forwarder=forwarder, connection=off))
    assert "will be skipped (send_off)" in doomed.changed


def test_what_is_past_retention_and_nowhere_is_unclear() -> None:
    """Nothing is known of it but that it was settled."""
    said = explain(Facts(None, None, CONNECTION))
    assert said.verdict is Verdict.UNCLEAR
