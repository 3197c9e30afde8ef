"""A user erased: gone from every file, and not brought back by anything accepted before."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from consumers.materializer.run import materialize
from consumers.segment_sync.run import apply_syncs
from devstack.heap_simulator import SimulatorSettings, running_simulator
from devstack.heap_simulator.deletion_endpoints import API_KEY
from heapline.heap.connection import Send
from heapline.heap.segment_keys import segment_key
from heapline.heap.segment_page import Action, Call, SegmentPage
from heapline.kafka import topics
from heapline.memberships import MembershipReader
from heapline.settings import MaterializerSettings, StateSettings
from heapline.words import SegmentId, UserId, Workspace
from state.folder import StateFolder
from state.replicas import newest_replica
from tests.command import heapline
from tests.forwarding.harness import UNLIMITED, Audit, Forwarding, wait_until
from tests.on_kafka import encoder_for, environment_for, make_topics, settings_for, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World
    from heapline.settings import Settings

pytestmark = pytest.mark.slow

ACME, JANE, JOE = Workspace("acme"), UserId("jane.the.erased@example.org"), UserId("joe-who-stays")
BRIEF = {"HEAPLINE_FORWARDER__DEFERRAL_MIN_SECONDS": "0.5"}


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass
class Node:
    """One installation's topics, and one machine with a state folder."""

    settings: Settings
    world: World
    prefix: str
    folder: Path

    def page(
        self, segment: str, *add: UserId, sync: str, at_ms: int | None = None, workspace: str = ACME
    ) -> None:
        """Accept a page of Heap's, now or then."""
        names = topics.Names(self.prefix)
        call = Call(
            Action.SYNC,
            segment_id=SegmentId(segment),
            segment_name=f"Segment {segment}",
            sync_task_id=sync,
            page_number=1,
            total_pages=1,
            add=add,
        )
        accepted_ms = at_ms or now_ms()
        page = SegmentPage.of(
            call, Workspace(workspace), signed_at_ms=accepted_ms, received_at_ms=accepted_ms
        )
        encoder = encoder_for(self.settings, names, topics.SEGMENT_PAGES)
        record = {
            "key": segment_key(page.workspace, page.segment_id),
            "value": encoder.encode(page.to_record()),
        }
        write(self.settings, names.topic(topics.SEGMENT_PAGES), [record])

    def catches_up(self) -> None:
        """Apply pages and materialize, until everything there is visible."""
        apply_syncs(self.settings, lambda: False, until_caught_up=True)
        materialize(self.settings, lambda: False, until_caught_up=True)

    def segments_of(self, user: UserId, workspace: str = ACME) -> set[str]:
        """Ask the index."""
        view = MembershipReader(StateFolder(self.state).index).pinned()
        return set(view.segments_of(workspace, user))

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.settings.state.directory

    def files_with(self, user: UserId) -> list[str]:
        """Search every file of the state folder for a user's bytes."""
        wanted = user.encode()
        return [
            str(path.relative_to(self.state))
            for path in sorted(self.state.rglob("*"))
            if path.is_file() and wanted in path.read_bytes()
        ]

    def forgets(self, user: UserId, workspace: str = ACME, **settings: str) -> dict[str, Any]:
        """Run the command; give what it prints."""
        given = {**environment_for(self.world, self.prefix), **settings}
        line = ("forget", user, "--workspace", workspace, "--yes", "--json")
        done = heapline(*line, folder=self.folder, settings=given)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def node(world: World, prefix: str, tmp_path: Path) -> Node:
    """Topics, and a state folder that is not there yet."""
    settings = settings_for(world, prefix).model_copy(
        update={
            "state": StateSettings(directory=tmp_path / "state"),
            "materializer": MaterializerSettings(replica_seconds=0.2, checkpoint_seconds=0.2),
        }
    )
    make_topics(settings, partitions=2)
    return Node(settings, world, prefix, tmp_path)


def test_gone_from_every_file_and_not_brought_back(node: Node) -> None:
    """History, index, copies and store; late pages of before do nothing, a later sync does."""
    before_ms = now_ms()
    node.page("7", JANE, JOE, sync="s-1")
    node.page("8", JANE, sync="s-1")
    node.page("7", JANE, sync="s-1", workspace="globex")
    node.catches_up()
    assert node.segments_of(JANE) == {"7", "8"}
    assert node.files_with(JANE)
    node.page("9", JANE, JOE, sync="s-2")  # accepted, and not applied yet

    told = node.forgets(JANE)
    assert set(told["segments"]) == {"7", "8"}
    assert told["erased_at_ms"] > before_ms
    node.page("7", JANE, sync="late", at_ms=before_ms)
    node.catches_up()
    assert node.segments_of(JANE) == set()
    assert node.segments_of(JOE) == {"7", "9"}
    assert node.segments_of(JANE, "globex") == {"7"}, "another workspace's user of that name"

    node.forgets(JANE, workspace="globex")
    node.catches_up()
    assert node.files_with(JANE) == []
    assert node.files_with(JOE)

    node.page("7", JANE, sync="s-3")
    node.catches_up()
    assert node.segments_of(JANE) == {"7"}
    node.catches_up()
    assert node.segments_of(JANE) == {"7"}, "an erasure is done once"


def test_a_node_built_later_never_hears_of_them(node: Node) -> None:
    """What stands in the topics until it is compacted stays out of a new state folder."""
    node.page("7", JANE, JOE, sync="s-1")
    apply_syncs(node.settings, lambda: False, until_caught_up=True)
    node.forgets(JANE)
    node.catches_up()
    assert node.segments_of(JOE) == {"7"}
    assert node.files_with(JANE) == []


def test_a_running_node_purges_itself(node: Node) -> None:
    """Within seconds, copies for analysts included; lookups go on."""
    node.page("7", JANE, JOE, sync="s-1")
    apply_syncs(node.settings, lambda: False, until_caught_up=True)
    stop, failed = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            materialize(node.settings, stop.is_set)
        except BaseException as error:  # noqa: BLE001 -- told to the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        folder = StateFolder(node.state)
        wait_until((folder.replicas / "CURRENT").exists, timeout=90)
        assert JANE.encode() in newest_replica(folder).read_bytes()
        node.forgets(JANE)
        wait_until(lambda: not failed and node.files_with(JANE) == [], timeout=90)
        assert node.segments_of(JOE) == {"7"}
    finally:
        stop.set()
        thread.join(60)
    assert not failed, failed
    assert node.files_with(JANE) == []


def test_what_is_not_gone_is_said_with_dates(node: Node) -> None:
    """In words, too; and that a later sync brings the user back."""
    told = node.forgets(JANE)
    dated = {each["what"].split()[0] for each in told["later"] if each["gone_by_ms"]}
    assert {"heap.segment-sync-pages", "commandai.events", "commandai.events.dlq"} <= dated
    assert told["settled"] == {"apply-syncs": True, "forward": True}
    done = heapline(
        *("forget", JANE, "--workspace", ACME, "--yes"),
        folder=node.folder,
        settings=environment_for(node.world, node.prefix),
    )
    assert done.returncode == 0
    for said in ("is dropped everywhere", "by 20", "brings the user back", "--heap"):
        assert said in done.stdout


@pytest.fixture
def heap() -> Iterator[SimulatorClient]:
    """A Heap without limits."""
    with running_simulator(SimulatorSettings(limits=UNLIMITED)) as running:
        yield running


def test_events_of_before_are_skipped_wherever_they_wait(
    world: World, prefix: str, heap: SimulatorClient, tmp_path: Path
) -> None:
    """Unread, deferred, and dead-lettered; an event of afterwards is delivered."""
    there = Forwarding(world, prefix, heap)
    there.connect("acme", "11")
    there.publish_events([there.event("acme", 1, user_id=JANE, name="x" * 1_100)])
    there.catch_up()
    there.connect("acme", "11", Send.HOLD)
    there.publish_events([there.event("acme", 2, user_id=JANE)])
    there.catch_up()
    there.publish_events([there.event("acme", 3, user_id=JANE), there.event("acme", 4)])
    given = {
        **environment_for(world, prefix),
        "HEAPLINE_HEAP__API_URL": heap.url,
        "HEAPLINE_HEAP__DELETION_KEYS": json.dumps({"11": API_KEY}),
    }
    line = ("forget", JANE, "--workspace", "acme", "--heap", "--yes", "--json")
    done = heapline(*line, folder=tmp_path, settings=given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["heap"]["status"] == "pending"
    assert heap.deletions() == [{"app_id": "11", "users": [{"identity": JANE}]}]
    there.connect("acme", "11")
    replay = ("dlq", "replay", "--force", "--yes", "--json")
    assert heapline(*replay, folder=tmp_path, settings=given).returncode == 0
    there.publish_events([there.event("acme", 5, user_id=JANE)])
    with there.forwarder(**BRIEF) as process:
        wait_until(lambda: sum(erased_of(there).values()) == 3, timeout=90)
        wait_until(lambda: len(there.heap.keys("11")) == 2, timeout=90)
        there.stop(process)
    assert set(there.heap.keys("11")) == {"acme-4", "acme-5"}
    assert erased_of(there) == {"events": 1, "deferred": 1, "replay": 1}


def erased_of(there: Forwarding) -> dict[str, int]:
    """Count the records that were skipped as erased, by source."""
    audit = Audit()
    there._read_counts(audit)
    found = audit.counts.items()
    return {source: n for (source, _, reason), n in found if reason == "erased"}


def test_a_role_with_another_key_stops(node: Node) -> None:
    """It could not recognise erased users, and would let them come back."""
    node.forgets(JANE, HEAPLINE_ERASURE__KEY="one")
    given = environment_for(node.world, node.prefix) | {"HEAPLINE_ERASURE__KEY": "another"}
    for role in ("apply-syncs", "forward"):
        node.page("7", JANE, sync="s-1")
        done = heapline(role, "--until-caught-up", folder=node.folder, settings=given)
        assert done.returncode == 1
        assert "HEAPLINE_ERASURE__KEY" in done.stderr
