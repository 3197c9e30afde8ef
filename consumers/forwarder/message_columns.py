"""Makes columns of messages; imported when there are many, for numpy takes a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from confluent_kafka import Message

from consumers.forwarder.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.forwarder.record import Partition


def columns_of(messages: list[Message], owned: Mapping[Partition, int], read_at: float) -> Columns:
    """Give messages as columns; those of others, or before what is to be read next, are left out.

    Args:
        messages: of the events topic, none an error.
        owned: its partitions, with the offset each is to be read from.
        read_at: monotonic seconds.
    """
    numbers = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
    offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
    places = np.full(len(messages), -1, np.int64)
    for place, (partition, position) in enumerate(owned.items()):
        places[(numbers == partition.number) & (offsets >= position)] = place
    if (places < 0).any():
        kept = np.flatnonzero(places >= 0)
        messages = [messages[row] for row in kept.tolist()]
        places, offsets = places[kept], offsets[kept]
    return Columns(
        list(owned),
        places,
        offsets,
        list(map(Message.key, messages)),
        list(map(Message.value, messages)),
        list(map(Message.headers, messages)),  # type: ignore[arg-type]
        read_at,
    )
