"""Where reading starts: no offset yet, offsets below the log's start, topics made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition

from heapline.kafka import topics
from heapline.kafka.clients import admin, consumer_config
from operations.topics import TopicAdministrator
from tests.forwarding.harness import Forwarding, wait_until
from tests.on_kafka import commit

if TYPE_CHECKING:
    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def one_partition(world: World, prefix: str, heap: SimulatorClient) -> Forwarding:
    """Give one connected workspace in topics of a single partition."""
    there = Forwarding(world, prefix, heap, partitions=1)
    there.connect("acme", "11")
    return there


def _delete_before(there: Forwarding, offset: int) -> None:
    client = admin(there.settings.kafka)
    there_to = TopicPartition(there.topic, 0, offset)
    assert client.delete_records([there_to])[there_to].result(10).low_watermark == offset


def _make_anew(there: Forwarding) -> None:
    client = admin(there.settings.kafka)
    client.delete_topics([there.topic])[there.topic].result(10)
    wait_until(lambda: there.topic not in client.list_topics(timeout=10).topics)
    TopicAdministrator(there.settings.kafka).apply(1)


def _group(there: Forwarding) -> Consumer:
    name = there.names.group(topics.FORWARDER_GROUP)
    return Consumer(consumer_config(there.settings.kafka, "test", name))


def _committed(there: Forwarding) -> TopicPartition:
    consumer = _group(there)
    try:
        return consumer.committed([TopicPartition(there.topic, 0)], timeout=10)[0]
    finally:
        consumer.close()


def _put_back(there: Forwarding, old: TopicPartition) -> None:
    """Commit an offset of the old topic again, as a restored backup or a late commit would."""
    commit(there.settings, there.names.group(topics.FORWARDER_GROUP), old)


def _stops(there: Forwarding) -> str:
    """Run a forwarder that must refuse to go on; give what it says."""
    with there.forwarder("--until-caught-up") as process:
        assert process.wait(120) == 1
    assert "Traceback" not in there.logs[-1]
    return there.logs[-1]


def test_a_group_without_offset_starts_at_the_earliest(one_partition: Forwarding) -> None:
    """Even where retention has deleted before anybody ever read."""
    gone = one_partition.publish("acme", 30)
    ids = one_partition.publish("acme", 70, first=30)
    _delete_before(one_partition, 30)
    one_partition.catch_up()
    audit = one_partition.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids
    assert not gone & set(audit.in_heap)


def test_an_offset_below_the_start_of_the_log(one_partition: Forwarding) -> None:
    """It stops and says how many are lost; with --accept-loss it goes on after exactly those."""
    there = one_partition
    before = there.publish("acme", 20)
    there.catch_up()
    there.publish("acme", 35, first=100)
    ids = there.publish("acme", 50, first=200)
    _delete_before(there, 55)
    for _ in range(2):
        said = _stops(there)
        assert "35 offsets were deleted" in said
        assert "--accept-loss" in said
    assert there.catch_up("--accept-loss")["outcomes"][0]["events"] == 50
    assert '"lost": 35' in there.logs[-1]
    audit = there.audit(["11"])
    assert set(audit.in_heap) == before | ids
    assert audit.outcome("delivered") == 70
    assert there.catch_up()["outcomes"] == []


def test_a_topic_made_anew_takes_the_groups_offsets_with_it(one_partition: Forwarding) -> None:
    """Kafka forgets a deleted topic's offsets: the new one is read from its beginning."""
    there = one_partition
    old = there.publish("acme", 100)
    there.catch_up()
    _make_anew(there)
    wait_until(lambda: _committed(there).offset < 0)
    new = there.publish("acme", 150, first=500)
    there.catch_up()
    audit = there.audit(["11"])
    assert set(audit.in_heap) == old | new
    assert audit.outcome("delivered") == 250
    assert audit.duplicates == 0


@pytest.mark.parametrize(("count", "how"), [(40, "no longer fits"), (160, "happens to fit")])
def test_an_offset_of_an_older_topic(one_partition: Forwarding, count: int, how: str) -> None:
    """Whether or not the offset fits the new log, it is known to belong to another topic."""
    there = one_partition
    old = there.publish("acme", 100)
    there.catch_up()
    stale = _committed(there)
    assert stale.offset == 100, how
    assert stale.metadata
    _make_anew(there)
    new = there.publish("acme", count, first=500)
    wait_until(lambda: _committed(there).offset < 0)
    _put_back(there, stale)
    said = _stops(there)
    assert "was deleted and made anew" in said
    assert "--accept-loss" in said
    there.catch_up("--accept-loss")
    audit = there.audit(["11"])
    assert set(audit.in_heap) == old | new
    assert audit.outcome("delivered") == 100 + count
    assert audit.duplicates == 0
    there.catch_up()


def test_a_topic_made_anew_under_a_running_forwarder(one_partition: Forwarding) -> None:
    """It stops instead of guessing; started again, it reads the new topic from its beginning."""
    there = one_partition
    old = there.publish("acme", 100)
    with there.forwarder() as process:
        wait_until(lambda: _committed(there).offset == 100)
        _make_anew(there)
        new = there.publish("acme", 30, first=500)
        assert process.wait(120) == 1
    assert "no longer holds what was to be read next" in there.logs[-1]
    there.catch_up()
    audit = there.audit(["11"])
    assert set(audit.in_heap) == old | new
    assert audit.outcome("delivered") == 130
