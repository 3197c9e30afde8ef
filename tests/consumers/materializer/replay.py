"""Who is in which segment by the memberships topic alone, read with plain code of its own.

It shares nothing with the product but the names: JSON keys, a value or none, last write wins.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, TopicPartition

if TYPE_CHECKING:
    from confluent_kafka import Message

Members = dict[tuple[str, str], set[str]]
"""By workspace and segment; segments without members are left out."""


def replay(bootstrap_servers: str, topic: str) -> Members:
    """Read the topic from its beginning to the end of what is committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "replay",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
        }
    )
    members: Members = {}
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ends = {n: _end(consumer, topic, n) for n in partitions}
        consumer.assign([TopicPartition(topic, n, 0) for n in partitions])
        reached = {n for n, end in ends.items() if end == 0}
        while len(reached) < len(ends):
            for message in consumer.consume(1_000, 0.2):
                _take(message, members, reached, ends)
    finally:
        consumer.close()
    return {name: users for name, users in members.items() if users}


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    found = consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)
    assert found is not None
    return found[1]


def _take(message: Message, members: Members, reached: set[int], ends: dict[int, int]) -> None:
    error, partition = message.error(), message.partition() or 0
    if error is None:
        workspace, user, segment = json.loads(message.key() or b"")
        users = members.setdefault((workspace, segment), set())
        (users.discard if message.value() is None else users.add)(user)
    else:
        assert error.code() == KafkaError._PARTITION_EOF, error
        if (message.offset() or 0) >= ends[partition]:
            reached.add(partition)
