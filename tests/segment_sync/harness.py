"""One test's topics, pages and appliers, and an independent look at what came of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException

from consumers.segment_sync.run import apply_syncs
from heapline.errors import KafkaUnavailable
from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_keys import read_key, segment_key
from heapline.heap.segment_page import Action, Call, SegmentPage
from heapline.heap.segment_record import HeapSegment
from heapline.kafka import topics
from heapline.kafka.clients import consumer_config
from heapline.kafka.codec import Decoder
from heapline.kafka.group_offsets import committed
from heapline.kafka.read_to_end import partitions_of
from heapline.kafka.registry import Registry
from heapline.words import SegmentId, UserId, Workspace
from tests.forwarding.harness import headers_of
from tests.on_kafka import (
    encoder_for,
    environment_for,
    make_topics,
    plain_producer,
    read_all,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from consumers.segment_sync.session import Progress
    from devstack.world import World

QUICK = {
    "HEAPLINE_SEGMENT_SYNC__SESSION_TIMEOUT_SECONDS": "2",
    "HEAPLINE_LOG__FORMAT": "json",
}
_COMMAND = ("-c", "from cli.main import main; main()")
Key = tuple[str, str]


def page(
    segment: str = "7",
    sync: str | None = "s1",
    number: int | None = 1,
    total: int | None = 1,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    workspace: str = "acme",
    action: Action = Action.SYNC,
) -> SegmentPage:
    """Make a page that was accepted just now."""
    call = Call(
        action,
        segment_id=SegmentId(segment),
        segment_name=f"Segment {segment}",
        sync_task_id=sync,
        page_number=number,
        total_pages=total,
        add=tuple(map(UserId, add)),
        remove=tuple(map(UserId, remove)),
    )
    now_ms = int(time.time() * 1000)
    return SegmentPage.of(call, Workspace(workspace), signed_at_ms=now_ms, received_at_ms=now_ms)


def drain(segment: str = "7", workspace: str = "acme") -> SegmentPage:
    """Make a drain."""
    return page(segment, None, None, None, workspace=workspace, action=Action.DRAIN)


@dataclass
class Audit:
    """What stands in the topics, read by nobody's help.

    Attributes:
        changes: all committed membership records, in the order of their partition.
        members: who is in, by workspace and segment.
        rows: the newest of each segment.
        last_offsets: of each workspace's newest membership record.
    """

    changes: list[MembershipChange] = field(default_factory=list)
    members: dict[Key, set[str]] = field(default_factory=dict)
    rows: dict[Key, HeapSegment] = field(default_factory=dict)
    last_offsets: dict[Key, int] = field(default_factory=dict)

    def times(self) -> Counter[tuple[str, str, str, str | None, bool]]:
        """Count how often each change stands there."""
        return Counter((c.workspace, c.segment, c.user, c.sync, c.enters) for c in self.changes)

    def check(self) -> None:
        """Assert what must hold whatever happened."""
        assert max(self.times().values(), default=1) == 1, "a change was written twice"
        for key, row in self.rows.items():
            assert row.memberships_offset == self.last_offsets.get(key, -1)
        assert set(self.last_offsets) <= set(self.rows), "changes without a row"


class SegmentSync:
    """Topics of one test."""

    def __init__(self, world: World, prefix: str, partitions: int = 3) -> None:
        self.world = world
        self.settings = settings_for(world, prefix)
        self.names = make_topics(self.settings, partitions)
        self.topic = self.names.topic(topics.SEGMENT_PAGES)
        self.logs: list[str] = []
        self._encoder = encoder_for(self.settings, self.names, topics.SEGMENT_PAGES)
        self._environment = environment_for(world, prefix)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Write the record of a page."""
        return self._encoder.encode(record)

    def accept(self, *pages: SegmentPage) -> None:
        """Write pages as intake does."""
        producer = plain_producer(self.settings)
        for each in pages:
            key = segment_key(each.workspace, each.segment_id)
            producer.produce(self.topic, self._encoder.encode(each.to_record()), key)
        assert producer.flush(30) == 0

    def catch_up(self, instance: str = "test", **changes: int) -> Progress:
        """Apply everything there, in this process."""
        tuned = self.settings.segment_sync.model_copy(update=dict(changes))
        settings = self.settings.model_copy(update={"instance_id": instance, "segment_sync": tuned})
        return apply_syncs(settings, lambda: False, until_caught_up=True)

    @contextmanager
    def applier(
        self, *arguments: str, program: Sequence[str] = _COMMAND, **changes: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a process of its own; it is killed in the end if it still runs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEAPLINE_")}
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                [sys.executable, *program, "apply-syncs", *arguments],
                env={**kept, **self._environment, **QUICK, **changes},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                yield process
            finally:
                process.kill()
                process.communicate()
                log.seek(0)
                self.logs.append(log.read())
                sys.stderr.write(self.logs[-1][-4000:])

    def applied(self) -> int:
        """Give how many pages lie before the group's offsets; none while brokers do not say."""
        group = self.names.group(topics.SEGMENT_SYNC_GROUP)
        consumer = Consumer(consumer_config(self.settings.kafka, "audit", group))
        try:
            there = committed(consumer, self.topic, partitions_of(consumer, self.topic), 10.0)
        except (KafkaException, KafkaUnavailable):
            return 0
        finally:
            consumer.close()
        return sum(max(0, each.offset) for each in there)

    def audit(self) -> Audit:
        """Look at the topics."""
        audit = Audit()
        with Registry(self.settings.schema_registry) as registry:
            decoder = Decoder("SegmentMembership", registry)
            for message in read_all(self.settings, self.names.topic(topics.MEMBERSHIPS)):
                change = MembershipChange.read(
                    message.key(), message.value(), headers_of(message), 0, decoder.decode
                )
                key = change.workspace, change.segment
                audit.changes.append(change)
                audit.last_offsets[key] = message.offset() or 0
                members = audit.members.setdefault(key, set())
                (members.add if change.enters else members.discard)(change.user)
            decoder = Decoder("HeapSegment", registry)
            for message in read_all(self.settings, self.names.topic(topics.SEGMENTS)):
                workspace, segment = read_key(message.key(), 2)
                row = HeapSegment.from_record(decoder.decode(message.value()))
                audit.rows[workspace, segment] = row
        return audit
