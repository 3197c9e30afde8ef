"""The partition a key belongs to, as Java clients choose it by default.

The hash is Austin Appleby's MurmurHash2 with the seed of Apache Kafka's
`org.apache.kafka.common.utils.Utils.murmur2`; its sign bit is cleared before the remainder is
taken. librdkafka's `murmur2_random` agrees for every key that is not null.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key among so many partitions."""
    return (murmur2(key) & _POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """Give the 32-bit hash of some bytes, as an unsigned number."""
    whole = len(data) & ~3
    state = _SEED ^ len(data)
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little")
        word = (word * _MULTIPLIER) & _WORD
        word ^= word >> 24
        word = (word * _MULTIPLIER) & _WORD
        state = ((state * _MULTIPLIER) & _WORD) ^ word
    if whole < len(data):
        state ^= int.from_bytes(data[whole:], "little")
        state = (state * _MULTIPLIER) & _WORD
    state ^= state >> 13
    state = (state * _MULTIPLIER) & _WORD
    return state ^ (state >> 15)
