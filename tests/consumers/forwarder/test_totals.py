"""What a run says of itself."""

from __future__ import annotations

from consumers.forwarder.checkpoint import Checkpoint, Settled
from consumers.forwarder.totals import Totals, advice
from heapline.outcomes import DeadLetterReason, DeferReason, Outcome, SkipReason, Source
from tests.consumers.forwarder.samples import EVENTS_0, at, record


def test_outcomes_are_counted_by_workspace_and_reason() -> None:
    """And given by source for the metrics."""
    skipped = [record(workspace="a") for _ in range(2)]
    for each in skipped:
        each.settle(Outcome.SKIPPED, at(0), SkipReason.SEND_OFF)
    delivered = record(workspace="b", source=Source.DEFERRED)
    delivered.settle(Outcome.DELIVERED, at(0))
    totals = Totals()
    held = [*skipped, delivered]
    kinds = totals.add(Checkpoint({EVENTS_0: Settled(held, 3, "")}))
    assert kinds == {("events", "skipped", "send_off"): 2, ("deferred", "delivered", ""): 1}
    assert totals.outcomes["a", Outcome.SKIPPED, "send_off"] == 2
    assert totals.outcomes["b", Outcome.DELIVERED, ""] == 1
    assert totals.settled() == 3


def test_every_reason_a_person_can_change_names_the_command() -> None:
    """With the workspace in it, ready to be pasted."""
    traffic = {SkipReason.PREVIEW, SkipReason.SIMULATED, SkipReason.ADMIN, SkipReason.ERASED}
    heap_is_busy = {
        DeferReason.OVER_LIMIT,
        DeferReason.IDENTITY_OVER_LIMIT,
        DeferReason.TOO_OLD,
        DeferReason.PAUSED_UNAVAILABLE,
    }
    for reason in [*SkipReason, *DeferReason, *DeadLetterReason]:
        command = advice("acme", reason)
        if reason in traffic | heap_is_busy:
            assert command is None
        else:
            assert command is not None
            assert command.startswith("heapline ")
            assert "acme" in command
    assert advice("acme", "") is None
