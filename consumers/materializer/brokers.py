"""What the brokers have now, asked when the materializer starts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # only its stub lacks them
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from consumers.materializer.starting import Log, There
from heapline.errors import NotReady
from heapline.kafka.asking import ask
from heapline.kafka.clients import translated

if TYPE_CHECKING:
    from collections.abc import Collection

    from confluent_kafka.admin import AdminClient

_TOMBSTONES_KEPT: Final = "delete.retention.ms"


def look(
    admin: AdminClient, names: Collection[str], compacted: Collection[str], timeout_seconds: float
) -> There:
    """Ask for cluster, topics, their ends, and how long tombstones are kept.

    Args:
        admin: whom to ask.
        names: full names of the topics that are read.
        compacted: those of them that are compacted.
        timeout_seconds: how long one question may take.

    Raises:
        KafkaUnavailable: the brokers do not answer.
        NotReady: a topic is missing.
    """
    try:
        there = ask(lambda seconds: admin.list_topics(timeout=seconds), timeout_seconds)
        missing = sorted(name for name in names if name not in there.topics)
        if missing:
            raise NotReady(f"topic {missing[0]} is missing: run `heapline topics apply`")
        places = [TopicPartition(name, n) for name in names for n in there.topics[name].partitions]
        return There(
            cluster_id=there.cluster_id or "",
            topic_ids=_topic_ids(admin, names, timeout_seconds),
            logs=_logs(admin, places, timeout_seconds),
            compacted=frozenset(compacted),
            tombstones_kept_ms=min(
                _tombstones_kept_ms(admin, name, timeout_seconds) for name in compacted
            ),
        )
    except KafkaException as error:
        raise translated(error) from error


def _topic_ids(
    admin: AdminClient, names: Collection[str], timeout_seconds: float
) -> dict[str, str]:
    asked = TopicCollection(sorted(names))

    def question(seconds: float) -> dict[str, str]:
        futures = admin.describe_topics(asked, request_timeout=seconds)
        return {name: str(future.result().topic_id) for name, future in futures.items()}

    return ask(question, timeout_seconds)


def _logs(
    admin: AdminClient, places: list[TopicPartition], timeout_seconds: float
) -> dict[tuple[str, int], Log]:

    def offsets(spec: OffsetSpec, seconds: float) -> dict[tuple[str, int], int]:
        futures = admin.list_offsets(
            {place: spec for place in places},  # noqa: C420 -- TopicPartition hashes by name
            request_timeout=seconds,
        )
        return {(each.topic, each.partition): f.result().offset for each, f in futures.items()}

    starts, ends = (
        ask(partial(offsets, spec), timeout_seconds)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]  # stubs
    )
    return {place: Log(start, ends[place]) for place, start in starts.items()}


def _tombstones_kept_ms(admin: AdminClient, name: str, timeout_seconds: float) -> int:
    resource = ConfigResource(ResourceType.TOPIC, name)

    def question(seconds: float) -> int:
        (future,) = admin.describe_configs([resource], request_timeout=seconds).values()
        return int(future.result()[_TOMBSTONES_KEPT].value)

    return ask(question, timeout_seconds)
