"""Segments on real servers: topics, one connected workspace, roles as processes, signed pages."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from confluent_kafka import Producer

from bench.child import child
from bench.installation import wait_until
from devstack.ports import is_free
from heapline.heap.connection import Connection, Region
from heapline.heap.signature import header_of
from heapline.http import HttpxClient
from heapline.kafka import topics
from heapline.kafka.clients import producer_config
from heapline.kafka.codec import Encoder
from heapline.kafka.position import HEADER, Position
from heapline.kafka.registry import Registry
from heapline.memberships import IndexUnavailable, MembershipReader
from heapline.settings import KafkaSettings, SchemaRegistrySettings
from heapline.words import AppId, Workspace
from operations.schemas import register
from operations.topics import TopicAdministrator
from state.folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.child import Child
    from devstack.world import World

WORKSPACE: Final = "acme"
_ID_TOKEN: Final = "bench-id-token"  # noqa: S105 -- of nobody
_SECRET: Final = "bench-webhook-secret"  # noqa: S105 -- likewise
_PARTITIONS: Final = 12
_LONGEST_SECONDS: Final = 300.0


class SegmentSite:
    """One installation with a prefix and a state folder of its own.

    Attributes:
        state: the state folder.
        url: of the webhook, once it is served.
    """

    def __init__(self, world: World, state: Path) -> None:
        self._world, self.state = world, state
        self.names = topics.Names(f"bench{secrets.token_hex(4)}-")
        self.kafka = KafkaSettings(
            bootstrap_servers=world.bootstrap_servers, prefix=self.names.prefix
        )
        self._port = next(n for n in range(21_000, 30_000) if is_free(n))
        self.url = f"http://127.0.0.1:{self._port}/heap/webhook"
        self._http = HttpxClient(connections=8, answer_seconds=30.0)
        self._reader: MembershipReader | None = None

    def set_up(self) -> None:
        """Make topics, schemas and the connection."""
        TopicAdministrator(self.kafka).apply(_PARTITIONS)
        with Registry(SchemaRegistrySettings(url=self._world.registry_url)) as registry:
            register(registry, self.names)
        row = Connection(Workspace(WORKSPACE), 1, 0, AppId("1"), Region.US, id_token=_ID_TOKEN)
        producer = self.producer()
        producer.produce(
            self.names.topic(topics.CONNECTIONS),
            key=WORKSPACE.encode(),
            value=self.encoder(topics.CONNECTIONS).encode(row.to_record()),
        )
        producer.flush(30)

    def producer(self) -> Producer:
        """Make a plain producer."""
        more = {"linger.ms": 50, "queue.buffering.max.kbytes": 262_144}
        return Producer(producer_config(self.kafka, "bench") | more)

    def encoder(self, topic: topics.Topic) -> Encoder:
        """Give the encoder of a topic's contract."""
        assert topic.schema is not None
        with Registry(SchemaRegistrySettings(url=self._world.registry_url)) as registry:
            return Encoder(topic.schema, registry.id_for_writing(self.names, topic))

    @contextmanager
    def role(self, *arguments: str) -> Iterator[Child]:
        """Run one role as a process."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HEAPLINE_")},
            **self._world.environment(),
            "HEAPLINE_KAFKA__PREFIX": self.names.prefix,
            "HEAPLINE_STATE__DIRECTORY": str(self.state),
            "HEAPLINE_WEB__PORT": str(self._port),
            "HEAPLINE_HEAP__WEBHOOK_SECRETS": orjson.dumps([_SECRET]).decode(),
            "HEAPLINE_LOG__LEVEL": "warning",
        }
        with child("bench.heapline_command", *arguments, env=environment) as running:
            yield running

    def post(self, segment: str, add: Sequence[str], remove: Sequence[str] = ()) -> Position | None:
        """Send a page as Heap does; give its position, or None where it was not taken."""
        data: dict[str, Any] = {
            "segment": {"id": segment, "name": f"Segment {segment}"},
            "sync_info": {
                "page_number": 1,
                "total_pages": 1,
                "sync_task_id": secrets.token_hex(8),
            },
            "add": [{"id": user} for user in add],
            "remove": [{"id": user} for user in remove],
        }
        call = {"id_token": _ID_TOKEN, "action_type": "segment.users.sync", "data": data}
        body = orjson.dumps(call)
        signed = header_of(time.time_ns() // 1_000_000, body, _SECRET.encode())
        headers = {"Content-Type": "application/json", "Heap-Hash": signed}
        answer = self._http.request("POST", self.url, body=body, headers=headers)
        if answer.status != 200:  # noqa: PLR2004 -- HTTP's own
            return None
        return Position.parse(answer.headers[HEADER.lower()])

    def post_patiently(self, segment: str, add: Sequence[str]) -> Position:
        """The same, again while the server is not ready."""
        patience = wait_until(_LONGEST_SECONDS, "the webhook took no page")
        while (position := self.post(segment, add)) is None:
            patience.pause()
        return position

    def is_visible(self, position: Position) -> bool:
        """Tell whether a page can be looked up."""
        try:
            self._reader = self._reader or MembershipReader(StateFolder(self.state).index)
        except IndexUnavailable:
            return False
        return self._reader.has_reached(position)

    def wait_visible(self, position: Position) -> float:
        """Wait until a page can be looked up; give monotonic seconds.

        Raises:
            TimeoutError: it never was.
        """
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not self.is_visible(position):
            if time.monotonic() > deadline:
                raise TimeoutError("a page did not become visible")
            time.sleep(0.001)
        return time.monotonic()

    def count(self, segment: str) -> int:
        """Give how many members a segment has."""
        assert self._reader is not None
        return self._reader.count(WORKSPACE, segment)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


@contextmanager
def segment_site(world: World) -> Iterator[SegmentSite]:
    """Make a site in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        site = SegmentSite(world, Path(folder) / "state")
        try:
            site.set_up()
            yield site
        finally:
            site.close()
