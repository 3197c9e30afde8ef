"""When the log is folded into the file, when analysts get a new copy, when the disk is looked at.

None of it happens inside a payload: the loop asks between two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Chore(Enum):
    """What is to be done now, if anything."""

    NONE = "none"
    CHECKPOINT = "checkpoint"
    REPLICATE = "replicate"
    SIGN_OF_LIFE = "sign_of_life"


@dataclass(frozen=True, slots=True)
class Habits:
    """How often.

    Attributes:
        checkpoint_seconds: an idle materializer folds a log this old into the file.
        log_bytes: a log so long is folded even while there is work; it costs time at a restart.
        replica_seconds: between two copies for analysts.
        sign_of_life_seconds: an idle materializer writes down that it lives, so that a later start
            does not take it for having been away.
    """

    checkpoint_seconds: float = 2.0
    log_bytes: int = 128 * 1024 * 1024
    replica_seconds: float = 5.0
    sign_of_life_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Look:
    """What there is at one moment.

    Attributes:
        now: monotonic seconds.
        idle: nothing is to be applied.
        version: the store's.
        log_bytes: length of the write-ahead log.
        copying: a copy is being made; the file must not change under it.
    """

    now: float
    idle: bool
    version: int
    log_bytes: int
    copying: bool = False


class Upkeep:
    """Pure state: what was done, and what is therefore due.

    Args:
        habits: how often.
        now: monotonic seconds at the start.
        version: the store's at the start; folded in already.
    """

    def __init__(self, habits: Habits, now: float, version: int) -> None:
        self._habits = habits
        self._checkpointed = version
        self._checkpointed_at = now
        self._replicated = -1
        self._replicated_at = float("-inf")
        self._applied_at = now

    def applied(self, now: float) -> None:
        """Note that a payload was."""
        self._applied_at = now

    def checkpointed(self, now: float, version: int) -> None:
        """Note that the log was folded in."""
        self._checkpointed, self._checkpointed_at = version, now

    def replicated(self, now: float, version: int) -> None:
        """Note that a copy was begun."""
        self._replicated, self._replicated_at = version, now

    def due(self, look: Look) -> Chore:
        """Give what is to be done now."""
        if look.copying:
            return Chore.NONE
        wants_copy = look.version != self._replicated and self._has_passed(
            self._replicated_at, self._habits.replica_seconds, look.now
        )
        if look.version != self._checkpointed and self._checkpoint_is_due(look, wants_copy):
            return Chore.CHECKPOINT
        if wants_copy and look.version == self._checkpointed:
            return Chore.REPLICATE
        alive = self._has_passed(self._applied_at, self._habits.sign_of_life_seconds, look.now)
        return Chore.SIGN_OF_LIFE if look.idle and alive else Chore.NONE

    def _checkpoint_is_due(self, look: Look, wants_copy: bool) -> bool:  # noqa: FBT001 -- a fact
        old = self._has_passed(self._checkpointed_at, self._habits.checkpoint_seconds, look.now)
        return wants_copy or (look.idle and old) or look.log_bytes >= self._habits.log_bytes

    @staticmethod
    def _has_passed(since: float, seconds: float, now: float) -> bool:
        return now - since >= seconds
