from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heapline.errors import KafkaUnavailable, NotReady
from heapline.kafka.clients import admin, consumer_config, lone_consumer
from heapline.kafka.logs import Logs
from heapline.kafka.read_to_end import STALL_SECONDS, Ends, partitions_of, read_to_end
from tests.on_kafka import (
    make_topic,
    plain_producer,
    settings_for,
    transaction_producer,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import TopicPartition

    from devstack.world import World
    from heapline.settings import Settings


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Settings of the shared world."""
    return settings_for(world, prefix)


@pytest.fixture
def consumer(settings: Settings) -> Iterator[Consumer]:
    """A consumer of its own."""
    made = lone_consumer(settings.kafka, "test")
    yield made
    made.close()


def values(messages: Iterator[object]) -> list[bytes]:
    """Give the values read."""
    return [message.value() for message in messages]  # type: ignore[attr-defined]  # Message


def test_ends_without_partitions_are_reached() -> None:
    """Nothing to read is read."""
    assert Ends({}).reached


def test_ends_wait_for_a_hole_at_the_end() -> None:
    """A last record before the target is not the end; the partition-EOF is."""
    ends = Ends({0: 5})
    assert ends.wants(0, 3)
    assert not ends.reached
    ends.at(0, 5)
    assert ends.reached


def test_ends_leave_out_records_that_come_again() -> None:
    """A partition that is read anew from its start gives each record once."""
    ends = Ends({0: 5, 1: 5})
    came = [(0, 1), (0, 3), (1, 1), (0, 1), (0, 3), (0, 4), (1, 1), (1, 2)]
    assert [each for each in came if ends.wants(*each)] == [(0, 1), (0, 3), (1, 1), (0, 4), (1, 2)]


def test_ends_leave_out_records_at_or_past_the_target() -> None:
    """A record past the target shows that the end is reached, and is not wanted itself."""
    ends = Ends({0: 5, 1: 1})
    assert not ends.wants(0, 7)
    assert ends.waiting == (1,)


@hypothesis_settings(deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.integers(0, 30), max_size=4),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40))),
)
def test_ends_are_reached_exactly_when_every_partition_was_at_its_target(
    targets: dict[int, int], seen: list[tuple[int, int]]
) -> None:
    """In whatever order partitions move, a partition waits until something at its target came."""
    ends = Ends(targets)
    for partition, offset in seen:
        ends.at(partition, offset)
    expected = {
        partition
        for partition, target in targets.items()
        if not any(p == partition and offset >= target for p, offset in seen)
    }
    assert set(ends.waiting) == expected


def test_missing_topic_is_told_with_the_command(consumer: Consumer, settings: Settings) -> None:
    """A topic that is not there is a mistake the caller can mend."""
    with pytest.raises(NotReady, match="topics apply"):
        list(read_to_end(consumer, f"{settings.kafka.prefix}nowhere"))


def test_empty_topic_ends_at_once(consumer: Consumer, settings: Settings) -> None:
    """Nothing is waited for where nothing is."""
    topic = make_topic(settings, "empty", 4)
    started = time.monotonic()
    assert list(read_to_end(consumer, topic)) == []
    assert time.monotonic() - started < STALL_SECONDS / 2
    assert partitions_of(consumer, topic) == [0, 1, 2, 3]


class Settling(Consumer):
    """A consumer whose brokers are still being told of the topic when each question comes."""

    def __init__(self, config: dict[str, Any], settling: int = 2) -> None:
        super().__init__(config)
        self.settling = settling
        self.asked: Counter[str] = Counter()

    def get_watermark_offsets(self, *args: Any, **more: Any) -> tuple[int, int]:  # noqa: ANN401 -- handed on
        """Not at once."""
        self._not_at_once("bounds")
        return super().get_watermark_offsets(*args, **more)

    def offsets_for_times(self, *args: Any, **more: Any) -> list[TopicPartition]:  # noqa: ANN401 -- handed on
        """Not at once."""
        self._not_at_once("times")
        return super().offsets_for_times(*args, **more)

    def _not_at_once(self, question: str) -> None:
        self.asked[question] += 1
        if self.asked[question] <= self.settling:
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))


@pytest.mark.parametrize("from_ms", [None, 0])
def test_brokers_that_are_just_told_of_the_topic_are_asked_again(
    settings: Settings, from_ms: int | None
) -> None:
    """A leader that does not know yet that it is one is no reason to give up."""
    topic = make_topic(settings, "new")
    write(settings, topic, [{"value": b"x"}])
    settling = Settling(consumer_config(settings.kafka, "test", "test"))
    with closing(settling):
        assert values(read_to_end(settling, topic, from_ms=from_ms)) == [b"x"]
    assert settling.asked["times" if from_ms == 0 else "bounds"] > 2


def test_brokers_that_stay_unsettled_are_an_error(settings: Settings) -> None:
    """After the time for a question it is ours to say."""
    topic = make_topic(settings, "never")
    settling = Settling(consumer_config(settings.kafka, "test", "test"), settling=1_000_000)
    with closing(settling), pytest.raises(KafkaUnavailable, match="leader"):
        list(read_to_end(settling, topic, timeout_seconds=0.3))


def test_all_records_of_all_partitions_come(consumer: Consumer, settings: Settings) -> None:
    """Every partition is read, each in order."""
    topic = make_topic(settings, "plain", 3)
    write(settings, topic, [{"value": b"%d" % n, "partition": n % 3} for n in range(3_000)])
    messages = list(read_to_end(consumer, topic))
    for partition in range(3):
        mine = [int(m.value() or b"") for m in messages if m.partition() == partition]
        assert mine == list(range(partition, 3_000, 3))


def test_markers_and_aborted_records_at_the_end_do_not_stall(
    consumer: Consumer, settings: Settings
) -> None:
    """The last offsets are an aborted transaction and its marker: no record ever comes there."""
    topic = make_topic(settings, "holes")
    producer = transaction_producer(settings)
    for text, commit in ((b"kept", True), (b"dropped", False)):
        producer.begin_transaction()
        producer.produce(topic, text)
        producer.flush(10)
        (producer.commit_transaction if commit else producer.abort_transaction)(10)
    assert values(read_to_end(consumer, topic)) == [b"kept"]


def test_open_transaction_is_not_waited_for(consumer: Consumer, settings: Settings) -> None:
    """What somebody is still writing is not yet part of the topic, and does not hold up readers."""
    topic = make_topic(settings, "open")
    write(settings, topic, [{"value": b"before"}])
    producer = transaction_producer(settings)
    producer.begin_transaction()
    producer.produce(topic, b"uncommitted")
    assert producer.flush(10) == 0
    assert values(read_to_end(consumer, topic)) == [b"before"]
    producer.abort_transaction(10)  # it still can: the brokers have not ended it meanwhile


def test_committed_records_before_an_open_transaction_all_come(
    consumer: Consumer, settings: Settings
) -> None:
    """A transaction's marker just before an open transaction is a hole at the very end."""
    topic = make_topic(settings, "marker-then-open")
    first, second = transaction_producer(settings, "a"), transaction_producer(settings, "b")
    first.begin_transaction()
    first.produce(topic, b"committed")
    first.commit_transaction(10)
    second.begin_transaction()
    second.produce(topic, b"uncommitted")
    assert second.flush(10) == 0
    assert values(read_to_end(consumer, topic)) == [b"committed"]
    second.abort_transaction(10)


def test_a_writer_that_never_stops_does_not_keep_the_reader(
    consumer: Consumer, settings: Settings
) -> None:
    """Reading ends at the ends seen at the start, and gives nothing written after."""
    topic = make_topic(settings, "busy")
    write(settings, topic, [{"value": b"old"}] * 100)
    stop = threading.Event()

    def keep_writing() -> None:
        producer = plain_producer(settings)
        while not stop.is_set():
            producer.produce(topic, b"new")
            producer.poll(0.001)
        producer.flush(10)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        found = values(read_to_end(consumer, topic))
    finally:
        stop.set()
        writer.join()
    assert found[:100] == [b"old"] * 100
    assert len(found) < 10_000


def test_reading_starts_at_a_time(consumer: Consumer, settings: Settings) -> None:
    """Records before `from_ms` are left out; a partition with nothing newer is done at once."""
    topic = make_topic(settings, "timed", 2)
    write(
        settings,
        topic,
        [
            {"value": b"a", "partition": 0, "timestamp": 1_000_000},
            {"value": b"b", "partition": 0, "timestamp": 2_000_000},
            {"value": b"c", "partition": 0, "timestamp": 3_000_000},
            {"value": b"d", "partition": 1, "timestamp": 1_500_000},
        ],
    )
    assert values(read_to_end(consumer, topic, from_ms=2_000_000)) == [b"b", b"c"]


def test_partitions_starts_and_earlier_ends_are_kept_to(
    consumer: Consumer, settings: Settings
) -> None:
    """Only the partitions asked for, from the offset given, to the earlier end given."""
    topic = make_topic(settings, "bounded", 2)
    records = [{"value": b"%d/%d" % (p, n), "partition": p} for p in (0, 1) for n in range(5)]
    write(settings, topic, records)
    found = read_to_end(consumer, topic, partitions=[1], starts={1: 2}, until={1: 4, 0: 1})
    assert values(found) == [b"1/2", b"1/3"]


def test_start_past_the_end_gives_nothing(consumer: Consumer, settings: Settings) -> None:
    """An offset that was never written is not waited for."""
    topic = make_topic(settings, "past")
    write(settings, topic, [{"value": b"x"}])
    assert values(read_to_end(consumer, topic, starts={0: 99})) == []


@pytest.mark.slow
def test_brokers_that_go_away_are_an_error(own_world: Callable[..., World], prefix: str) -> None:
    """A reader whose brokers died says so within its patience."""
    world = own_world(servers=("kafka",))
    settings = settings_for(world, prefix)
    topic = make_topic(settings, "gone")
    write(settings, topic, [{"value": os.urandom(100_000)}] * 200)
    little = {"fetch.message.max.bytes": 100_000, "queued.max.messages.kbytes": 200}
    consumer = lone_consumer(settings.kafka, "test", **little)
    reading = read_to_end(consumer, topic, timeout_seconds=2, stall_seconds=2)
    assert next(reading).value()
    world.kafka.kill()
    with pytest.raises(KafkaUnavailable):
        list(reading)
    with pytest.raises(KafkaUnavailable):
        list(read_to_end(consumer, topic, timeout_seconds=1, stall_seconds=1))
    consumer.close()


def test_true_ends_lie_behind_an_open_transaction(settings: Settings, consumer: Consumer) -> None:
    """What another producer committed behind it is waited for; by itself, it is not even seen."""
    topic = make_topic(settings, "t")
    slow, quick = transaction_producer(settings, "slow"), transaction_producer(settings, "quick")
    slow.begin_transaction()
    slow.produce(topic, b"open")
    assert slow.flush(10) == 0
    quick.begin_transaction()
    quick.produce(topic, b"committed")
    quick.commit_transaction(10)
    assert values(read_to_end(consumer, topic)) == []
    ends = Logs(admin(settings.kafka), 10).ends(topic, [0])
    idles = 0

    def idle() -> None:
        nonlocal idles
        idles += 1
        if idles == 3:
            slow.abort_transaction(10)

    assert values(read_to_end(consumer, topic, ends=ends, idle=idle)) == [b"committed"]
