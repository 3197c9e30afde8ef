"""What the metadata that goes with a group's offsets says of a consumer's membership."""

from __future__ import annotations

import sys
from typing import Final

_MAGIC: Final = b"CGMDv2:"
_GENERATION: Final = slice(len(_MAGIC), len(_MAGIC) + 4)


def is_without_generation(metadata: bytes) -> bool:
    """Tell whether a consumer has been in no generation of its group, or is no longer.

    librdkafka keeps a member's id where the brokers have refused its generation, until the next
    read. With an id and no generation a group that has become empty takes offsets from anybody
    (Kafka's `ClassicGroup.validateOffsetCommit`), also from one who had a partition before others.

    Args:
        metadata: `Consumer.consumer_group_metadata()`, as librdkafka writes it
            (`rd_kafka_consumer_group_metadata_write`); in a form not known here it tells nothing.
    """
    if not metadata.startswith(_MAGIC):
        return False
    return int.from_bytes(metadata[_GENERATION], sys.byteorder, signed=True) < 0
