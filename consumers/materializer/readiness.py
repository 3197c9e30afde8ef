"""Whether everything that stood in Kafka at the start is visible: before, lookups are not answered.

The ends are those seen at the start. Offsets have holes, so a partition is done when its position
has come to its end, be it by a record or by the end of what is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from heapline.errors import TryAgainLater

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from consumers.materializer.starting import TopicPartition

_ASK_AGAIN_SECONDS: Final = 1.0


class Readiness:
    """What is still to be made visible; one thread tells, any thread asks."""

    def __init__(self) -> None:
        self._targets: dict[TopicPartition, int] = {}
        self._starts: dict[TopicPartition, int] = {}
        self._positions: Mapping[TopicPartition, int] = {}
        self._why: str | None = "the store is being opened"

    def aim(self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Say where reading starts, and the ends to come to."""
        self._targets, self._starts = dict(ends), dict(starts)
        self.visible(starts)

    def visible(self, positions: Mapping[TopicPartition, int]) -> None:
        """Say up to where everything is visible."""
        self._positions = dict(positions)
        left = self.left
        self._why = f"{left:,} of {self.whole:,} offsets are not visible yet" if left else None

    def hold(self, why: str) -> None:
        """Say that nothing can be answered now, and why."""
        self._why = why

    @property
    def whole(self) -> int:
        """How many offsets there were to read at the start."""
        return sum(max(0, end - self._starts.get(each, 0)) for each, end in self._targets.items())

    @property
    def left(self) -> int:
        """How many of them are not visible yet."""
        return sum(
            max(0, end - self._positions.get(each, 0)) for each, end in self._targets.items()
        )

    @property
    def waiting(self) -> Collection[TopicPartition]:
        """Give the partitions that are not at their end yet."""
        return [each for each, end in self._targets.items() if self._positions.get(each, 0) < end]

    @property
    def reached(self) -> bool:
        """Whether everything is visible."""
        return self._why is None

    def check(self) -> None:
        """Do nothing once everything is visible.

        Raises:
            TryAgainLater: it is not; the message tells how much is left.
        """
        why = self._why
        if why is not None:
            raise TryAgainLater(
                f"memberships are being read from Kafka: {why}",
                retry_after_seconds=_ASK_AGAIN_SECONDS,
            )

    async def ask(self) -> None:
        """See `web.health.Check`."""
        self.check()
