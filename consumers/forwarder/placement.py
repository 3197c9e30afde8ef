"""Notices records outside their workspace's partition: a writer chose another partitioner.

Then two processes may each keep the workspace's limits by themselves, and Heap says 429.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.kafka.partition import partition_of
from heapline.outcomes import Source

if TYPE_CHECKING:
    from consumers.forwarder.record import Partition, Record


class Placement:
    """Counts misplaced records of the events topic.

    Attributes:
        partition_count: of the topic; 0 until known, and then nothing counts as misplaced.
    """

    def __init__(self) -> None:
        self.partition_count = 0
        self._misplaced = 0
        self._homes: dict[str, int] = {}

    def look_at(self, record: Record) -> None:
        """Count a record if it is not where its workspace belongs (its workspace is set)."""
        if record.source is Source.EVENTS:
            self.look_at_rows(record.workspace, record.partition, 1)

    def look_at_rows(self, workspace: str, partition: Partition, count: int) -> None:
        """Count so many records of the events topic if they are not where they belong."""
        if not self.partition_count:
            return
        home = self._homes.get(workspace)
        if home is None:
            home = partition_of(workspace.encode(), self.partition_count)
            self._homes[workspace] = home
        self._misplaced += count * (home != partition.number)

    def take_count(self) -> int:
        """Give how many were misplaced since the last call."""
        count, self._misplaced = self._misplaced, 0
        return count
