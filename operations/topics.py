"""Making Kafka's topics as the catalogue says, and telling where they are not.

Partition counts are final: the workspace of a record decides its partition, so another count would
put a workspace's records in two places. `apply` therefore creates topics and mends their settings,
and refuses to change a count.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its public names, which its types do not export
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

from heapline.clock import Deadline, SystemClock
from heapline.errors import CallerMistake, KafkaUnavailable
from heapline.kafka.clients import admin, translated
from heapline.kafka.topics import (
    DEFAULT_PARTITIONS,
    DEFERRED,
    DLQ,
    EVENTS,
    HEADROOM_BYTES,
    TOPICS,
    Names,
)
from operations.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import TopicMetadata

    from heapline.clock import Clock
    from heapline.settings import KafkaSettings

_T = TypeVar("_T")
BROKER_DEFAULT: Final = -1
"""As replication factor: what the brokers are configured to give (KIP-464)."""
_LOOK_AGAIN_SECONDS: Final = 0.05
_MANY_BROKERS: Final = 3
_MIN_INSYNC: Final = "min.insync.replicas"
_LARGEST: Final = "max.message.bytes"
_ASK_DIFFERENTLY: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REQUEST,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
)
"""Answers that will be the same next time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as it is.

    Attributes:
        partitions: how many.
        replication: the fewest replicas any partition has.
        unhealthy: partitions without a leader, or with replicas that lag.
        config: the settings in force, where they differ from the brokers' or not.
    """

    partitions: int
    replication: int
    unhealthy: int = 0
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is: brokers, and topics by full name."""

    brokers: int
    topics: Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do, in this order; nothing at all when something is refused.

    Attributes:
        create: topics that are missing.
        alter: by topic, the settings to set.
        refused: differences that cannot be mended in place.
    """

    create: tuple[Wanted, ...]
    alter: Mapping[str, Mapping[str, str]]
    refused: tuple[Finding, ...]


def wanted_topics(names: Names, cluster: Cluster, partitions: int | None) -> tuple[Wanted, ...]:
    """Say how the topics should be.

    Without a count asked for, the topics that share one follow `commandai.events`, else whichever
    of them there is, else the default.
    """
    shared = [names.topic(topic) for topic in TOPICS if topic.partitions is None]
    existing = (cluster.topics[name].partitions for name in shared if name in cluster.topics)
    count = partitions or next(existing, DEFAULT_PARTITIONS)
    return tuple(
        Wanted(names.topic(topic), topic.partitions or count, topic.config, topic.purpose)
        for topic in TOPICS
    )


def plan(wanted: Sequence[Wanted], found: Mapping[str, Found]) -> Plan:
    """Decide what to create, alter and refuse."""
    present = [topic for topic in wanted if topic.name in found]
    drift = {topic.name: _drift(topic, found[topic.name]) for topic in present}
    return Plan(
        create=tuple(topic for topic in wanted if topic.name not in found),
        alter={name: config for name, config in drift.items() if config},
        refused=tuple(_wrong_counts(wanted, found)),
    )


def findings(names: Names, wanted: Sequence[Wanted], cluster: Cluster) -> tuple[Finding, ...]:
    """List everything that is not as it should be."""
    found = cluster.topics
    return (
        *_missing(wanted, found),
        *_wrong_counts(wanted, found),
        *_drifted(wanted, found),
        *_sizes(names, found),
        *_replication(wanted, cluster),
    )


def _drift(wanted: Wanted, found: Found) -> dict[str, str]:
    return {k: v for k, v in wanted.config.items() if found.config.get(k) != v}


def _missing(wanted: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[Finding]:
    for topic in wanted:
        if topic.name not in found:
            yield Finding(topic.name, "does not exist", "run `heapline topics apply`")


def _wrong_counts(wanted: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[Finding]:
    for topic in wanted:
        there = found.get(topic.name)
        if there is not None and there.partitions != topic.partitions:
            yield Finding(
                topic.name,
                f"has {there.partitions} partitions, not {topic.partitions}",
                "a partition count is final: ask for the count that is there, or use another "
                "HEAPLINE_KAFKA__PREFIX, or delete the topic (and what is in it) and apply again",
            )


def _drifted(wanted: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[Finding]:
    for topic in wanted:
        if topic.name in found:
            there = found[topic.name]
            for key, value in _drift(topic, there).items():
                problem = f"{key} is {there.config.get(key, 'unknown')}, not {value}"
                yield Finding(topic.name, problem, "run `heapline topics apply`")


def _sizes(names: Names, found: Mapping[str, Found]) -> Iterator[Finding]:
    """Whatever fits into the events must fit into the others, with headers on top."""
    events = names.topic(EVENTS)
    for topic in (DEFERRED, DLQ):
        name = names.topic(topic)
        if events not in found or name not in found:
            continue
        largest, room = (int(found[each].config.get(_LARGEST, 0)) for each in (events, name))
        if room < largest + HEADROOM_BYTES:
            yield Finding(
                name,
                f"{_LARGEST} is {room}: {events} takes {largest}, and this one needs "
                f"{HEADROOM_BYTES} more, or a checkpoint could never commit",
                "run `heapline topics apply`",
            )


def _replication(wanted: Sequence[Wanted], cluster: Cluster) -> Iterator[Finding]:
    for topic in wanted:
        there = cluster.topics.get(topic.name)
        if there is None:
            continue
        insync = int(there.config.get(_MIN_INSYNC, 1))
        if insync > there.replication:
            problem = f"{_MIN_INSYNC} is {insync}, and there are {there.replication} replicas"
            yield Finding(topic.name, f"{problem}: nothing can be written", _REASSIGN)
        elif there.replication == 1 and cluster.brokers >= _MANY_BROKERS:
            problem = f"has one replica on {cluster.brokers} brokers: one disk lost, records lost"
            yield Finding(topic.name, problem, _REASSIGN)
        if there.unhealthy:
            problem = f"{there.unhealthy} of {there.partitions} partitions lack a leader or replica"
            yield Finding(topic.name, problem, "see whether all brokers are up")


_REASSIGN: Final = "give it more replicas with Kafka's kafka-reassign-partitions.sh"


class _AlreadyThere(Exception):
    """Somebody else created the topic meanwhile."""


class TopicAdministrator:
    """Does to the brokers what the decisions above say."""

    def __init__(self, settings: KafkaSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self._clock = clock or SystemClock()
        self._admin: AdminClient = admin(settings)

    def look(self) -> Cluster:
        """Ask for the topics and their settings.

        Raises:
            KafkaUnavailable: the brokers did not answer in time.
        """
        try:
            listed = self._admin.list_topics(timeout=self._settings.timeout_seconds)
        except KafkaException as error:
            raise translated(error) from error
        ours = {self._names.topic(topic) for topic in TOPICS} & listed.topics.keys()
        configs = self._configs(sorted(ours))
        topics = {name: _found(listed.topics[name], configs[name]) for name in ours}
        return Cluster(len(listed.brokers), topics)

    def check(self, partitions: int | None = None) -> tuple[Finding, ...]:
        """Tell what is not as it should be; changes nothing.

        Raises:
            KafkaUnavailable: the brokers did not answer in time.
        """
        cluster = self.look()
        return findings(self._names, wanted_topics(self._names, cluster, partitions), cluster)

    def apply(self, partitions: int | None = None, replication: int = BROKER_DEFAULT) -> Plan:
        """Create what is missing and mend settings; give what was done.

        Raises:
            CallerMistake: a partition count would have to change, and nothing was done; or the
                brokers refuse what was asked.
            KafkaUnavailable: the brokers did not answer in time.
        """
        cluster = self.look()
        todo = plan(wanted_topics(self._names, cluster, partitions), cluster.topics)
        if todo.refused:
            problems = [f"  {each.about} {each.problem}" for each in todo.refused]
            raise CallerMistake(
                "\n".join(["nothing was changed:", *problems, f"  {todo.refused[0].fix}"])
            )
        self._create(todo.create, replication)
        self._alter(todo.alter)
        if todo.create or todo.alter:
            self._wait_until_seen(partitions)
        return todo

    def _wait_until_seen(self, partitions: int | None) -> None:
        """Brokers take in changes one after the other; the next question may meet a late one."""
        deadline = Deadline(self._clock, self._settings.timeout_seconds)
        while not deadline.passed():
            cluster = self.look()
            left = plan(wanted_topics(self._names, cluster, partitions), cluster.topics)
            if not left.create and not left.alter:
                return
            self._clock.sleep(_LOOK_AGAIN_SECONDS)
        raise KafkaUnavailable("the brokers accepted the changes, but do not show them yet")

    def _configs(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        if not topics:
            return {}
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        answers = self._admin.describe_configs(
            asked, request_timeout=self._settings.timeout_seconds
        )
        return {
            resource.name: {
                entry.name: entry.value
                for entry in _result(answer, resource.name).values()
                if entry.value is not None and entry.source != ConfigSource.UNKNOWN_CONFIG.value
            }
            for resource, answer in answers.items()
        }

    def _create(self, topics: Sequence[Wanted], replication: int) -> None:
        new = [
            NewTopic(each.name, each.partitions, replication, config=dict(each.config))
            for each in topics
        ]
        if new:
            seconds = self._settings.timeout_seconds
            answers = self._admin.create_topics(
                new, operation_timeout=seconds, request_timeout=seconds
            )
            for name, answer in answers.items():
                with contextlib.suppress(_AlreadyThere):
                    _result(answer, name)

    def _alter(self, configs: Mapping[str, Mapping[str, str]]) -> None:
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in config.items()
                ],
            )
            for name, config in configs.items()
        ]
        if resources:
            answers = self._admin.incremental_alter_configs(
                resources, request_timeout=self._settings.timeout_seconds
            )
            for resource, answer in answers.items():
                _result(answer, resource.name)


def _found(topic: TopicMetadata, config: Mapping[str, str]) -> Found:
    partitions = topic.partitions.values()
    return Found(
        partitions=len(partitions),
        replication=min((len(each.replicas) for each in partitions), default=0),
        unhealthy=sum(
            each.leader < 0 or len(each.isrs) < len(each.replicas) for each in partitions
        ),
        config=config,
    )


def _result(answer: Future[_T], topic: str) -> _T:
    try:
        return answer.result()
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            raise _AlreadyThere from error
        if cause.code() in _ASK_DIFFERENTLY:
            raise CallerMistake(f"the brokers refuse {topic}: {cause.str()}") from error
        raise translated(error) from error
