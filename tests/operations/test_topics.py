from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its public names, which its types do not export
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import CallerMistake, KafkaUnavailable
from heapline.kafka.clients import admin
from heapline.kafka.topics import (
    CONNECTIONS,
    DEFERRED,
    DLQ,
    EVENTS,
    TOPICS,
    Names,
)
from heapline.settings import KafkaSettings
from operations.topics import (
    Cluster,
    Found,
    TopicAdministrator,
    findings,
    plan,
    wanted_topics,
)
from tests.on_kafka import settings_for

if TYPE_CHECKING:
    from devstack.world import World
    from operations.findings import Finding

NAMES = Names("p.")
EMPTY = Cluster(1, {})


def cluster(
    partitions: dict[str, int] | None = None,
    *,
    brokers: int = 1,
    replication: int = 1,
    unhealthy: int = 0,
    config: dict[str, dict[str, str]] | None = None,
) -> Cluster:
    """Give a cluster where all is as it should be, but for what is named."""
    return Cluster(
        brokers,
        {
            NAMES.topic(topic): Found(
                partitions=(partitions or {}).get(topic.name, topic.partitions or 12),
                replication=replication,
                unhealthy=unhealthy,
                config={**topic.config, **(config or {}).get(topic.name, {})},
            )
            for topic in TOPICS
        },
    )


def found_in(there: Cluster, partitions: int | None = None) -> tuple[Finding, ...]:
    """Check a cluster."""
    return findings(NAMES, wanted_topics(NAMES, there, partitions), there)


def test_on_an_empty_cluster_everything_is_created() -> None:
    """With the default count, one partition for connections, and every setting named."""
    todo = plan(wanted_topics(NAMES, EMPTY, None), EMPTY.topics)
    counts = {each.name: each.partitions for each in todo.create}
    assert counts == {NAMES.topic(each): each.partitions or 12 for each in TOPICS}
    assert counts["p.heap.connections"] == 1
    assert all(each.config["cleanup.policy"] for each in todo.create)
    assert not todo.alter
    assert not todo.refused


def test_where_all_is_as_it_should_be_nothing_is_done_or_found() -> None:
    """Applying twice does nothing the second time."""
    todo = plan(wanted_topics(NAMES, cluster(), None), cluster().topics)
    assert (todo.create, todo.alter, todo.refused) == ((), {}, ())
    assert found_in(cluster()) == ()


@given(
    counts=st.fixed_dictionaries({}, optional={t.name: st.integers(1, 4) for t in TOPICS}),
    asked=st.none() | st.integers(1, 4),
)
def test_no_plan_ever_changes_a_count_or_leaves_unequal_ones(
    counts: dict[str, int], asked: int | None
) -> None:
    """Whatever is there: refused, or afterwards all event topics have one count."""
    there = {NAMES.prefix + name: Found(count, 1) for name, count in counts.items()}
    wanted = wanted_topics(NAMES, Cluster(1, there), asked)
    todo = plan(wanted, there)
    if todo.refused:
        assert {each.about for each in todo.refused} <= there.keys()
        return
    after = {name: found.partitions for name, found in there.items()}
    after |= {each.name: each.partitions for each in todo.create}
    shared = {after[NAMES.topic(topic)] for topic in TOPICS if topic.partitions is None}
    assert len(shared) == 1
    assert asked is None or shared == {asked}
    assert after[NAMES.topic(CONNECTIONS)] == 1


def test_missing_topics_follow_the_count_that_is_there() -> None:
    """A topic added by a newer version fits to the old ones without being told."""
    there = {NAMES.topic(EVENTS): Found(5, 1, config=EVENTS.config)}
    todo = plan(wanted_topics(NAMES, Cluster(1, there), None), there)
    assert {each.partitions for each in todo.create} == {5, 1}


def test_unequal_counts_are_found_and_refused() -> None:
    """The message names both counts."""
    there = cluster({EVENTS.name: 12, DEFERRED.name: 6})
    (finding,) = found_in(there)
    assert finding.about == "p.commandai.events.deferred"
    assert finding.problem == "has 6 partitions, not 12"
    assert plan(wanted_topics(NAMES, there, None), there.topics).refused == (finding,)


def test_drifted_settings_are_found_and_set_back() -> None:
    """Only what drifted is altered."""
    there = cluster(config={DLQ.name: {"retention.ms": "1", "segment.ms": "5"}})
    (finding,) = found_in(there)
    assert finding.problem == "retention.ms is 1, not 2592000000"
    todo = plan(wanted_topics(NAMES, there, None), there.topics)
    assert todo.alter == {"p.commandai.events.dlq": {"retention.ms": "2592000000"}}


def test_sizes_must_fit_together() -> None:
    """An event that only just fits must fit into the deferred topic and the DLQ with headers."""
    there = cluster(config={EVENTS.name: {"max.message.bytes": "1100000"}})
    problems = [each for each in found_in(there) if "never commit" in each.problem]
    assert [each.about for each in problems] == [NAMES.topic(DEFERRED), NAMES.topic(DLQ)]


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        (cluster(brokers=3), "one replica on 3 brokers"),
        (cluster(unhealthy=2), "lack a leader or replica"),
        (
            cluster(config={each.name: {"min.insync.replicas": "2"} for each in TOPICS}),
            "nothing can be written",
        ),
    ],
)
def test_replication_that_loses_or_blocks_records_is_found(there: Cluster, problem: str) -> None:
    """For every topic, with what to do."""
    found = found_in(there)
    assert len(found) == len(TOPICS)
    assert all(problem in each.problem and each.fix for each in found)


def test_a_single_broker_needs_no_replicas() -> None:
    """A laptop is no finding."""
    assert found_in(cluster(brokers=1)) == ()
    assert found_in(cluster(brokers=3, replication=3)) == ()


def test_apply_makes_what_check_asks_for(world: World, prefix: str) -> None:
    """On a real broker: drift, apply, no drift; and a second apply has nothing to do."""
    topics = TopicAdministrator(settings_for(world, prefix).kafka)
    assert {each.problem for each in topics.check()} == {"does not exist"}
    assert len(topics.apply(3).create) == len(TOPICS)
    assert topics.check() == ()
    again = topics.apply()
    assert (again.create, again.alter) == ((), {})
    found = topics.look().topics
    assert found[prefix + "commandai.events"].partitions == 3
    assert found[prefix + "heap.connections"].config["cleanup.policy"] == "compact"


def test_apply_mends_settings_and_leaves_others_alone(world: World, prefix: str) -> None:
    """An operator's own setting on a topic survives."""
    settings = settings_for(world, prefix)
    topics = TopicAdministrator(settings.kafka)
    topics.apply(1)
    name = prefix + "commandai.events"
    drift = {"retention.ms": "1000", "min.cleanable.dirty.ratio": "0.9"}
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in drift.items()
    ]
    client = admin(settings.kafka)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    for answer in client.incremental_alter_configs([resource]).values():
        answer.result(10)
    while topics.look().topics[name].config["retention.ms"] != "1000":
        pass
    assert [each.problem for each in topics.check()] == ["retention.ms is 1000, not 604800000"]
    assert topics.apply().alter == {name: {"retention.ms": "604800000"}}
    assert topics.check() == ()
    assert topics.look().topics[name].config["min.cleanable.dirty.ratio"] == "0.9"


def test_apply_refuses_another_count_and_changes_nothing(world: World, prefix: str) -> None:
    """Neither the count nor anything else, and the message names both counts."""
    settings = settings_for(world, prefix)
    client = admin(settings.kafka)
    name = prefix + "commandai.events"
    client.create_topics([NewTopic(name, 2, 1)])[name].result(10)
    topics = TopicAdministrator(settings.kafka)
    while name not in topics.look().topics:
        pass
    with pytest.raises(CallerMistake, match="has 2 partitions, not 4"):
        topics.apply(4)
    assert topics.look().topics.keys() == {name}


def test_a_replication_factor_nobody_can_give_is_told_in_words(world: World, prefix: str) -> None:
    """It will be the same next time, so it is the caller's to mend."""
    with pytest.raises(CallerMistake, match="replication factor of 3"):
        TopicAdministrator(settings_for(world, prefix).kafka).apply(1, 3)


def test_without_a_broker_it_gives_up_in_time() -> None:
    """The wait is the setting's."""
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", timeout_seconds=0.5)
    with pytest.raises(KafkaUnavailable):
        TopicAdministrator(kafka).check()
