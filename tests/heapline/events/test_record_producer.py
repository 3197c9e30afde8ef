"""One suite for both record producers: librdkafka against a real broker, and the fake."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from heapline.errors import HeaplineError, InvalidEvent, KafkaUnavailable, NotReady
from heapline.events.record_producer import KafkaAccess, KafkaRecordProducer
from heapline.kafka.topics import EVENT_BYTES, EVENTS, Names
from heapline.settings import KafkaSettings
from operations.topics import TopicAdministrator
from tests.fakes.record_producer import FakeRecordProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devstack.world import World
    from heapline.events.record_producer import RecordProducer

PARTITIONS = 2
Reports = list[HeaplineError | None]


@dataclass
class Side:
    """A record producer, and a look at what the brokers hold."""

    producer: RecordProducer
    held: Callable[[], set[tuple[bytes, bytes]]]

    def settle(self, reports: Reports, count: int) -> None:
        """Poll until so many are reported."""
        deadline = time.monotonic() + 60
        while len(reports) < count:
            assert time.monotonic() < deadline, f"{len(reports)} of {count} reported"
            self.producer.poll(0.05)


def real_side(world: World, prefix: str, **librdkafka: Any) -> Side:  # noqa: ANN401 -- any setting
    """Make a topic and a producer for it."""
    settings = KafkaSettings(bootstrap_servers=world.bootstrap_servers, prefix=prefix)
    TopicAdministrator(settings).apply(PARTITIONS, 1)
    topic = Names(prefix).topic(EVENTS)
    access = KafkaAccess(world.bootstrap_servers, librdkafka)
    producer = KafkaRecordProducer(access.config(delivery_seconds=20), topic)
    return Side(producer, lambda: everything_in(topic, world.bootstrap_servers))


def everything_in(topic: str, bootstrap_servers: str) -> set[tuple[bytes, bytes]]:
    """Read a topic to its end: keys and values."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "unused"})
    found = set()
    try:
        for partition in range(PARTITIONS):
            start = TopicPartition(topic, partition, 0)
            end = end_of(start, consumer)
            consumer.assign([start])
            got = 0
            while got < end:
                for message in consumer.consume(end - got, 10):
                    assert message.error() is None
                    found.add((message.key() or b"", message.value() or b""))
                    got += 1
    finally:
        consumer.close()
    return found


def end_of(partition: TopicPartition, consumer: Consumer) -> int:
    """Give a partition's end; the leader of a new one may not be known at once."""
    for _ in range(100):
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=10)[1])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            time.sleep(0.1)
    pytest.fail("the partition has no leader")


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.kafka)])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Give each record producer in turn; the world starts only for the real one."""
    if request.param == "fake":
        fake = FakeRecordProducer()
        made = Side(fake, lambda: set(fake.acknowledged))
    else:
        made = real_side(request.getfixturevalue("world"), request.getfixturevalue("prefix"))
    yield made
    made.producer.close()


def test_what_is_sent_is_held_and_reported(side: Side) -> None:
    """Every record is reported once without an error, and the brokers hold it."""
    reports: Reports = []
    side.producer.check_topic(10)
    records = {(b"key-%d" % (number % 7), b"value-%d" % number) for number in range(1000)}
    for key, value in records:
        assert side.producer.send(key, value, reports.append)
    side.settle(reports, len(records))
    assert reports == [None] * len(records)
    assert side.held() == records


def test_nothing_is_reported_before_polling(side: Side) -> None:
    """Reports come from within `poll`, so nobody is called unawares."""
    reports: Reports = []
    side.producer.send(b"k", b"v", reports.append)
    time.sleep(0.1)
    assert reports == []
    side.settle(reports, 1)


def test_too_large_a_record(side: Side) -> None:
    """It is refused on the spot or in its report, in either case as too large."""
    reports: Reports = []
    try:
        side.producer.send(b"k", b"x" * (EVENT_BYTES + 1), reports.append)
        side.settle(reports, 1)
    except InvalidEvent as error:
        reports.append(error)
    (problem,) = reports
    assert isinstance(problem, InvalidEvent)
    assert problem.reason == "too_large"
    assert side.held() == set()


def test_sharing_by_threads(side: Side) -> None:
    """Several threads send and poll; each record is reported once."""
    reports: Reports = []

    def work(thread: int) -> None:
        for number in range(100):
            while not side.producer.send(b"k%d" % thread, b"%d" % number, reports.append):
                side.producer.poll(0.01)
            side.producer.poll(0)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    side.settle(reports, 400)
    assert reports == [None] * 400
    assert len(side.held()) == 400


def test_a_full_queue(world: World, prefix: str) -> None:
    """A full queue of librdkafka's is said with False, and there is room again after polling."""
    real = real_side(world, prefix, **{"queue.buffering.max.messages": 5})
    reports: Reports = []
    sent = 0
    while real.producer.send(b"k", b"v%d" % sent, reports.append):
        sent += 1
        assert sent < 1000
    real.settle(reports, sent)
    assert real.producer.send(b"k", b"more", reports.append)
    real.settle(reports, sent + 1)
    assert len(real.held()) == sent + 1
    real.producer.close()


def test_a_missing_topic(world: World, prefix: str) -> None:
    """The command that makes it is named, and asking makes no topic."""
    access = KafkaAccess(world.bootstrap_servers)
    producer = KafkaRecordProducer(access.config(20), Names(prefix).topic(EVENTS))
    for _ in range(2):
        with pytest.raises(NotReady, match="heapline topics apply"):
            producer.check_topic(10)
    producer.close()


def test_no_brokers() -> None:
    """Nobody there: unavailable, after the time given; what was queued is reported as lost."""
    access = KafkaAccess("127.0.0.1:1")
    producer = KafkaRecordProducer(access.config(20), "t")
    with pytest.raises(KafkaUnavailable):
        producer.check_topic(0.3)
    reports: Reports = []
    assert producer.send(b"k", b"v", reports.append)
    producer.close()
    assert [type(report) for report in reports] == [KafkaUnavailable]
