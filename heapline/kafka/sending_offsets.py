"""Putting a group's offsets into a transaction, in time."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

_GRACE_SECONDS: Final = 2.0
"""So much longer than it was given librdkafka may take."""


class Sender(Protocol):
    """The part of `confluent_kafka.Producer` that is needed here."""

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, timeout: float, /
    ) -> object:
        """See there."""
        ...


def send_offsets(
    producer: Sender, offsets: list[TopicPartition], membership: object, timeout_seconds: float
) -> None:
    """Put offsets into the open transaction.

    librdkafka heeds no time-out while it looks for the group's coordinator, and where the one it
    knew went away it may look no more (its issues 5456 and 5511, in 2.16). So the call is made in a
    thread of its own, which is left behind where it does not return.

    Raises:
        KafkaException: as from the call. Timed out and *to be aborted* where it did not return:
            this producer can do nothing more, and must be replaced.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def send() -> None:
        try:
            producer.send_offsets_to_transaction(offsets, membership, timeout_seconds)
        except BaseException as error:  # noqa: BLE001 -- raised below
            ended.put(error)
        else:
            ended.put(None)

    Thread(target=send, name="offsets", daemon=True).start()
    try:
        error = ended.get(timeout=timeout_seconds + _GRACE_SECONDS)
    except Empty:
        raise KafkaException(
            KafkaError(
                KafkaError._TIMED_OUT,  # noqa: SLF001 -- librdkafka's local errors are named so
                "sending offsets has not returned",
                txn_requires_abort=True,
            )
        ) from None
    if error is not None:
        raise error
