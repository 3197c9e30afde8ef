"""The real Kafka, store and index: what stands in the topics can be looked up."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.readiness import Readiness
from consumers.materializer.run import materialize
from heapline.clock import SystemClock
from heapline.kafka import topics
from heapline.kafka.clients import admin
from heapline.memberships import MembershipReader
from heapline.memberships.errors import IndexUnavailable, UnknownSegment, UnknownWorkspace
from heapline.settings import MaterializerSettings, Settings, StateSettings
from operations.topics import TopicAdministrator
from state.errors import StoreLocked
from state.folder import StateFolder
from state.replicas import open_replica
from state.store import Store
from state.verify import verify_folder
from tests.consumers.materializer.looking import by_index, by_store
from tests.consumers.materializer.replay import replay
from tests.consumers.materializer.writing import Page, PageWriter
from tests.forwarding.harness import wait_until
from tests.on_kafka import make_topics, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.materializer.totals import Totals
    from devstack.world import World

PARTITIONS = 3


@dataclass
class Place:
    """One test's topics and state folder."""

    settings: Settings
    pages: PageWriter
    readiness: Readiness = field(default_factory=Readiness)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.settings.state.directory

    def catch_up(self) -> Totals:
        """Materialize until everything there is visible."""
        return materialize(self.settings, lambda: False, until_caught_up=True)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Materialize beside the test, until it is done."""
        stop, failed = threading.Event(), []

        def run() -> None:
            try:
                materialize(self.settings, stop.is_set, readiness=self.readiness)
            except BaseException as error:  # noqa: BLE001 -- told to the test
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()
            assert not failed, failed

    def check(self) -> None:
        """Assert that index, store and an independent replay of the topic agree."""
        topic = self.pages.names.topic(topics.MEMBERSHIPS)
        truth = replay(self.settings.kafka.bootstrap_servers, topic)
        assert by_index(self.state) == truth
        assert by_store(self.state) == truth
        assert truth == {name: users for name, users in self.pages.members.items() if users}


@pytest.fixture
def place(world: World, prefix: str, tmp_path: Path) -> Place:
    """Give topics without anything in them, and no state folder yet."""
    settings = settings_for(world, prefix).model_copy(
        update={
            "state": StateSettings(directory=tmp_path / "state"),
            "materializer": MaterializerSettings(replica_seconds=0.2, checkpoint_seconds=0.2),
        }
    )
    return Place(settings, PageWriter(settings, make_topics(settings, PARTITIONS), PARTITIONS))


def members(place: Place, segment: str) -> list[str]:
    """Give the members of acme's segment; nobody where it cannot be told yet."""
    try:
        return sorted(MembershipReader(StateFolder(place.state).index).members("acme", segment))
    except (IndexUnavailable, UnknownSegment, UnknownWorkspace):
        return []


def test_what_stands_in_the_topics_can_be_looked_up(place: Place) -> None:
    """A node that starts with nothing reads everything, and ends with the truth."""
    place.pages.write(Page(add=["ada", "bob"], name="Trial users"))
    place.pages.write(Page(segment="s2", add=["ada"]), Page(workspace="other", add=["ada", "eve"]))
    place.pages.write(Page(segment="s2", add=["mallory"]), commit=False)
    place.pages.write(Page(remove=["bob"], sync="sync-2", name="Trial users"))
    totals = place.catch_up()
    assert totals.rebuilt == "nothing is kept yet"
    place.check()
    reader = MembershipReader(StateFolder(place.state).index)
    assert reader.segment("acme", "s1").name == "Trial users"
    assert not reader.is_member("acme", "mallory", "s2")


def test_a_second_start_goes_on_where_the_first_ended(place: Place) -> None:
    """Nothing is read twice, and the index is not built again."""
    place.pages.write(Page(add=["ada", "bob"]))
    place.catch_up()
    again = place.catch_up()
    assert (again.records, again.rebuilt, again.index_built) == (0, None, False)
    place.pages.write(Page(add=["eve"], remove=["bob"]))
    news = place.catch_up()
    assert (news.records, news.changes) == (2, 2)
    place.check()


def test_pages_become_visible_while_it_runs(place: Place) -> None:
    """Readiness comes first; then each page within moments, and copies for analysts."""
    place.pages.write(Page(add=["ada"]))
    with place.following():
        wait_until(lambda: place.readiness.reached)
        assert members(place, "s1") == ["ada"]
        for n in range(5):
            place.pages.write(Page(segment=f"t{n}", add=["bob", "eve"]))
            wait_until(lambda n=n: members(place, f"t{n}") == ["bob", "eve"])  # type: ignore[misc]
        wait_until(lambda: _replica_count(place) == 11)
    place.check()


def _replica_count(place: Place) -> int:
    with open_replica(StateFolder(place.state)) as replica:
        return int(replica.one("SELECT count(*) FROM membership")[0])


def test_an_open_transaction_is_waited_for_and_never_shown(place: Place) -> None:
    """Records of a transaction that is open are invisible; the end comes once it is over."""
    place.pages.write(Page(add=["ada"]))
    with place.following():
        wait_until(lambda: members(place, "s1") == ["ada"])
        place.pages._producer.begin_transaction()
        place.pages._page(Page(add=["bob"]), remember=True)
        time.sleep(0.3)
        assert members(place, "s1") == ["ada"]
        place.pages._producer.commit_transaction(20)
        wait_until(lambda: members(place, "s1") == ["ada", "bob"])
    place.check()


def test_an_index_behind_the_store_is_built_anew(place: Place) -> None:
    """As after a crash between commit and publication."""
    place.pages.write(Page(add=["ada", "bob"]))
    place.catch_up()
    for path in (place.state / "index").iterdir():
        path.unlink()
    assert place.catch_up().index_built
    place.check()


def test_topics_made_anew_are_read_anew(place: Place) -> None:
    """Who is not in the new topic has left, and the history of the old store is carried over."""
    place.pages.write(Page(add=["ada", "bob"]))
    place.catch_up()
    _make_anew(place, topics.MEMBERSHIPS, topics.SEGMENTS)
    place.pages.members.clear()
    place.pages.write(Page(add=["bob", "eve"]))
    totals = place.catch_up()
    assert totals.rebuilt is not None
    assert "made anew" in totals.rebuilt
    place.check()
    assert verify_folder(StateFolder(place.state), SystemClock()).problems == []
    with Store(StateFolder(place.state), 0) as store:
        rows = store.database.run(
            "SELECT user_id, entered_at IS NOT NULL, left_at IS NOT NULL FROM membership_history"
            " ORDER BY 1"
        ).rows
    assert rows == [("ada", True, True), ("bob", True, False), ("eve", True, False)]


def _make_anew(place: Place, *gone: topics.Topic) -> None:
    names = [place.pages.names.topic(each) for each in gone]
    client = admin(place.settings.kafka)
    for future in client.delete_topics(names).values():
        future.result(20)
    wait_until(lambda: not set(names) & client.list_topics(timeout=10).topics.keys())
    TopicAdministrator(place.settings.kafka).apply(PARTITIONS)


def test_a_store_that_was_away_too_long_is_built_anew(place: Place) -> None:
    """Kafka may have dropped that somebody left: everything is read again."""
    place.pages.write(Page(add=["ada", "bob"]))
    place.catch_up()
    with Store(StateFolder(place.state), 0) as store:
        store.database.run("UPDATE stored.fact SET applied_at_ms = applied_at_ms - 400000000")
    assert place.catch_up().rebuilt is None, "nothing was missed"
    with Store(StateFolder(place.state), 0) as store:
        store.database.run("UPDATE stored.fact SET applied_at_ms = applied_at_ms - 400000000")
    place.pages.write(Page(add=["eve"], remove=["bob"]))
    rebuilt = place.catch_up().rebuilt
    assert rebuilt is not None
    assert "nothing was applied for 111 h" in rebuilt
    place.check()


def test_a_second_materializer_is_refused(place: Place) -> None:
    """It says who writes, and leaves the first one alone."""
    place.pages.write(Page(add=["ada"]))
    with place.following():
        wait_until(lambda: place.readiness.reached)
        with pytest.raises(StoreLocked, match="only one may write"):
            place.catch_up()
        place.pages.write(Page(add=["bob"]))
        wait_until(lambda: members(place, "s1") == ["ada", "bob"])
    place.check()
