"""Which role of heapline reads and writes which topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heapline.kafka import topics

if TYPE_CHECKING:
    from heapline.kafka.topics import Topic


@dataclass(frozen=True, slots=True)
class Role:
    """What one role of heapline does with topics.

    Attributes:
        name: as in the security page's table of ACLs.
        summary: one line for people.
        reads: topics it reads.
        writes: topics it writes.
        group: the consumer group in which it reads, if any.
        transactional: whether what it writes is written in transactions.
    """

    name: str
    summary: str
    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    group: str | None = None
    transactional: bool = False


ROLES: Final = (
    Role(
        "serve (event API)",
        "Takes events over HTTP. Publishers of your own write the same.",
        writes=(topics.EVENTS,),
    ),
    Role(
        "serve (webhook)",
        "Takes Heap's pages.",
        reads=(topics.CONNECTIONS,),
        writes=(topics.SEGMENT_PAGES,),
    ),
    Role(
        "forward",
        "Delivers events to Heap; writes outcomes and offsets in one transaction.",
        reads=(topics.ERASURES, topics.EVENTS, topics.DEFERRED, topics.CONNECTIONS),
        writes=(topics.DEFERRED, topics.DLQ, topics.OUTCOME_COUNTS, topics.FORWARDER_STATUS),
        group=topics.FORWARDER_GROUP,
        transactional=True,
    ),
    Role(
        "apply-syncs",
        "Turns pages into memberships, exactly once.",
        reads=(
            topics.ERASURES,
            topics.SEGMENT_PAGES,
            topics.SEGMENTS,
            topics.MEMBERSHIPS,
            topics.CONNECTIONS,
        ),
        writes=(topics.MEMBERSHIPS, topics.SEGMENTS),
        group=topics.SEGMENT_SYNC_GROUP,
        transactional=True,
    ),
    Role(
        "materialize",
        "Keeps memberships on its machine, for look-ups and analysts.",
        reads=(
            topics.ERASURES,
            topics.MEMBERSHIPS,
            topics.SEGMENTS,
            topics.OUTCOME_COUNTS,
            topics.CONNECTIONS,
        ),
    ),
    Role(
        "connections set",
        "Joins workspaces to Heap; a connection in the browser does the same.",
        reads=(topics.CONNECTIONS,),
        writes=(topics.CONNECTIONS,),
        transactional=True,
    ),
    Role(
        "dlq replay",
        "Sends records again, with `replay`.",
        reads=(topics.EVENTS, topics.DLQ, topics.OUTCOME_COUNTS),
        writes=(topics.DEFERRED, topics.DLQ),
        transactional=True,
    ),
    Role(
        "forget",
        "Erases a user.",
        reads=(topics.CONNECTIONS, topics.SEGMENTS),
        writes=(topics.ERASURES, topics.MEMBERSHIPS),
    ),
    Role(
        "status",
        "Tells what waits, with `why`.",
        reads=(
            topics.EVENTS,
            topics.DEFERRED,
            topics.DLQ,
            topics.OUTCOME_COUNTS,
            topics.CONNECTIONS,
            topics.FORWARDER_STATUS,
        ),
    ),
)
