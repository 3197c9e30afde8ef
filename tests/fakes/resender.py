"""A resender without Kafka, or in front of a real one that is to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operations.resend import Resend, Resender


class FakeResender:
    """Keeps what is written; see `operations.resend.Resender`.

    Args:
        partitions: of the deferred topic.
        through: gets everything too.
        fail_after: so many calls succeed.
    """

    def __init__(
        self, partitions: int, *, through: Resender | None = None, fail_after: int | None = None
    ) -> None:
        self.partitions = partitions
        self.written: list[Resend] = []
        self._through = through
        self._left = fail_after

    def write(self, records: Sequence[Resend]) -> None:
        """See `Resender.write`."""
        if self._left is not None:
            if self._left == 0:
                raise KafkaUnavailable("the brokers are gone")
            self._left -= 1
        if self._through is not None:
            self._through.write(records)
        self.written += records
