"""Reading the topics into the demo's books, by keys, headers and offsets alone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from devstack.demo.books import Books
from heapline.kafka import topics
from heapline.kafka.asking import ask
from heapline.kafka.clients import consumer_config, lone_consumer, translated
from heapline.kafka.headers import REPLAYED, DeadLetter
from heapline.kafka.read_to_end import partitions_of, read_to_end
from operations.outcomes import read_totals

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

    from heapline.kafka.headers import Headers
    from heapline.kafka.topics import Names
    from heapline.settings import Settings


def read_books(settings: Settings) -> Books:
    """Read what the topics hold now; nobody should be forwarding meanwhile.

    Raises:
        NotReady: a topic is missing.
        KafkaUnavailable, RegistryUnavailable: as they say.
    """
    names = topics.Names(settings.kafka.prefix)
    books = Books()
    _count(settings, names, topics.EVENTS, books.published, books.waiting)
    _count(settings, names, topics.DEFERRED, books.deferred, books.deferred_waiting)
    for message in _messages(settings, names.topic(topics.DLQ)):
        headers = _headers(message)
        if all(name != REPLAYED for name, _ in headers):
            origin = DeadLetter.read(headers).origin
            books.dead_letters.append((_workspace(message), str(origin)))
    by_all = read_totals(settings, names).by("workspace", "source", "outcome", "reason")
    for (workspace, source, outcome, reason), count in by_all.items():
        books.outcomes[workspace, source, outcome, reason] += count
    return books


def committed(settings: Settings, topic: str) -> Mapping[int, int]:
    """Give the forwarders' offsets in a topic, by partition; partitions without one are left out.

    Raises:
        NotReady, KafkaUnavailable: as they say.
    """
    group = topics.Names(settings.kafka.prefix).group(topics.FORWARDER_GROUP)
    with closing(Consumer(consumer_config(settings.kafka, "demo", group))) as consumer:
        asked = [TopicPartition(topic, each) for each in partitions_of(consumer, topic)]
        try:
            answers = ask(
                lambda seconds: consumer.committed(asked, seconds), settings.kafka.timeout_seconds
            )
        except KafkaException as error:
            raise translated(error) from error
    for each in answers:
        if each.error is not None:
            raise translated(each.error)
    return {each.partition: each.offset for each in answers if each.offset >= 0}


def _count(
    settings: Settings,
    names: Names,
    topic: topics.Topic,
    records: Counter[str],
    waiting: Counter[str],
) -> None:
    name = names.topic(topic)
    passed = committed(settings, name)
    for message in _messages(settings, name):
        workspace = _workspace(message)
        records[workspace] += 1
        if (message.offset() or 0) >= passed.get(message.partition() or 0, 0):
            waiting[workspace] += 1


def _messages(settings: Settings, topic: str) -> Iterator[Message]:
    with closing(lone_consumer(settings.kafka, "demo")) as consumer:
        yield from read_to_end(consumer, topic)


def _headers(message: Message) -> Headers:
    """Give the headers as they are read; librdkafka's stubs allow for other forms."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value if isinstance(value, bytes) else b"") for name, value in pairs]


def _workspace(message: Message) -> str:
    key = message.key()
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key or "")
