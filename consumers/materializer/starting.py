"""Where reading begins, and when what is kept cannot be gone on with.

A compacted topic drops a tombstone `delete.retention.ms` after it was written. Who was away for
longer may have missed that somebody left, and would never hear of it: the store is built anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_HOUR_MS: Final = 3_600_000
TopicPartition = tuple[str, int]
"""A topic's full name, and a partition."""


class Log(NamedTuple):
    """A partition as it is now.

    Attributes:
        start, end: the first offset kept, and the one after the last.
    """

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class There:
    """What the brokers have now.

    Attributes:
        cluster_id: of the cluster.
        topic_ids: by topic; another id under the same name is another topic.
        logs: by partition, of every topic that is read.
        compacted: the topics that keep the newest record of each key.
        tombstones_kept_ms: for how long they keep the record of somebody's leaving.
    """

    cluster_id: str
    topic_ids: Mapping[str, str]
    logs: Mapping[TopicPartition, Log]
    compacted: Collection[str]
    tombstones_kept_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store tells of itself.

    Attributes:
        cluster_id: where its contents came from; None where nothing was applied yet.
        topic_ids: of the topics they came from.
        positions: how far each was read.
        applied_at_ms: wall time of the last payload; None before the first.
    """

    cluster_id: str | None = None
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    applied_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GoOn:
    """Read on.

    Attributes:
        positions: where, for every partition.
        lost: offsets that the log no longer held, where any were; never of a compacted topic.
    """

    positions: dict[TopicPartition, int]
    lost: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildAnew:
    """What is kept may lack that somebody left: read everything again, into a new file.

    Attributes:
        why: for people.
    """

    why: str


def decide_start(kept: Kept, there: There, now_ms: int) -> GoOn | BuildAnew:
    """Decide whether to go on, and where."""
    if kept.applied_at_ms is None:
        return GoOn({place: log.start for place, log in there.logs.items()})
    why = _why_anew(kept, there, now_ms)
    if why is not None:
        return BuildAnew(why)
    positions, lost = {}, {}
    for place, log in there.logs.items():
        position = kept.positions.get(place, log.start)
        if _is_another(place[0], kept, there) or position > log.end:
            position = log.start
        if position < log.start:
            lost[place] = log.start - position
        positions[place] = max(position, log.start)
    return GoOn(positions, lost)


def _why_anew(kept: Kept, there: There, now_ms: int) -> str | None:
    if kept.cluster_id is not None and kept.cluster_id != there.cluster_id:
        return f"it was filled from Kafka cluster {kept.cluster_id}, this is {there.cluster_id}"
    for topic in sorted(there.compacted):
        if _is_another(topic, kept, there):
            return f"{topic} was deleted and made anew"
    behind = False
    for (topic, partition), log in sorted(there.logs.items()):
        position = kept.positions.get((topic, partition))
        if topic not in there.compacted or position is None:
            continue
        name = f"{topic}[{partition}]"
        if position > log.end:
            return f"it has read {name} up to {position}, which ends at {log.end}"
        if position < log.start:
            return f"it has read {name} up to {position}, which begins at {log.start}"
        behind = behind or position < log.end
    away_ms = now_ms - (kept.applied_at_ms or 0)
    if behind and away_ms > there.tombstones_kept_ms // 2:
        return (
            f"nothing was applied for {away_ms / _HOUR_MS:.0f} h, and Kafka keeps the record of "
            f"somebody's leaving for {there.tombstones_kept_ms / _HOUR_MS:.0f} h only"
        )
    return None


def _is_another(topic: str, kept: Kept, there: There) -> bool:
    before, now = kept.topic_ids.get(topic), there.topic_ids.get(topic)
    return bool(before and now and before != now)
