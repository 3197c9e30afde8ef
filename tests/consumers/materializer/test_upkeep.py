"""Checkpoints, copies and signs of life come between payloads, and not too often."""

from __future__ import annotations

from dataclasses import replace

from consumers.materializer.upkeep import Chore, Habits, Look, Upkeep

HABITS = Habits(
    checkpoint_seconds=2.0, log_bytes=1_000, replica_seconds=5.0, sign_of_life_seconds=600.0
)
QUIET = Look(now=0.0, idle=True, version=3, log_bytes=0)


def kept_up() -> Upkeep:
    """Give an upkeep that owes nothing at 0 seconds, with the store at version 3."""
    upkeep = Upkeep(HABITS, 0.0, 3)
    upkeep.replicated(0.0, 3)
    return upkeep


def test_the_first_copy_is_made_at_once() -> None:
    """A node that just started may have no copy, or an old one."""
    assert Upkeep(HABITS, 0.0, 3).due(QUIET) is Chore.REPLICATE


def test_nothing_is_due_where_nothing_changed() -> None:
    """Neither checkpoint nor copy, however long it takes."""
    assert kept_up().due(replace(QUIET, now=599.0)) is Chore.NONE


def test_an_idle_log_is_folded_in_after_a_while() -> None:
    """Not while there is work, unless the log has grown."""
    upkeep = kept_up()
    changed = replace(QUIET, version=4)
    assert upkeep.due(replace(changed, now=1.9)) is Chore.NONE
    assert upkeep.due(replace(changed, now=2.0)) is Chore.CHECKPOINT
    assert upkeep.due(replace(changed, now=2.0, idle=False)) is Chore.NONE
    assert upkeep.due(replace(changed, now=0.1, idle=False, log_bytes=1_000)) is Chore.CHECKPOINT


def test_a_copy_follows_a_checkpoint() -> None:
    """A copy without the log lacks rows: it is made only of a file that has everything."""
    upkeep = kept_up()
    busy = replace(QUIET, now=5.0, idle=False, version=4)
    assert upkeep.due(busy) is Chore.CHECKPOINT
    upkeep.checkpointed(5.0, 4)
    assert upkeep.due(busy) is Chore.REPLICATE
    upkeep.replicated(5.0, 4)
    assert upkeep.due(replace(busy, now=9.9)) is Chore.NONE
    assert upkeep.due(replace(busy, now=9.9, version=5)) is Chore.NONE
    assert upkeep.due(replace(busy, now=10.0, version=5)) is Chore.CHECKPOINT


def test_nothing_is_done_while_a_copy_is_made() -> None:
    """The file must not change under a copy."""
    upkeep = kept_up()
    look = Look(now=99.0, idle=True, version=9, log_bytes=10_000, copying=True)
    assert upkeep.due(look) is Chore.NONE


def test_an_idle_materializer_gives_signs_of_life() -> None:
    """Else a short stop after quiet days would look like a long absence."""
    upkeep = kept_up()
    assert upkeep.due(replace(QUIET, now=600.0)) is Chore.SIGN_OF_LIFE
    upkeep.applied(600.0)
    assert upkeep.due(replace(QUIET, now=601.0)) is Chore.NONE
