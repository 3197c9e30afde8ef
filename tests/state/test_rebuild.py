from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state import rebuild
from state.folder import StateFolder
from state.payload import OutcomeFacts, SyncFacts
from state.store import Store
from tests.state.payloads import Coder, members, segment_facts

if TYPE_CHECKING:
    from pathlib import Path

_COUNT = OutcomeFacts("acme", "events", "nudge_shown", "skipped", "filtered", 60_000, 3)


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder with a store: Ann and Bob are in, Cat was."""
    folder = StateFolder(tmp_path / "state")
    coder = Coder()
    with Store(folder, now_ms=1) as store:
        store.remember_origin("cluster-1", {})
        store.apply(
            coder.payload(
                [
                    ("acme", "cat", "S1", True, 4, "a"),
                    ("acme", "ann", "S1", True, 5, "a"),
                    ("acme", "bob", "S1", True, 5, "a"),
                ],
                segments=(segment_facts(syncs=(SyncFacts("a", 1, "sync", 1, 1),)),),
                positions={("memberships", 0): 7, ("counts", 0): 3},
                outcomes=(_COUNT,),
            )
        )
        store.apply(coder.payload([("acme", "cat", "S1", False, 9, "b")]))
    return folder


def _history(store: Store) -> list[tuple[object, ...]]:
    return store.database.run(
        "SELECT user_id, epoch_ms(entered_at), epoch_ms(left_at), sync_task_id, entered_cause,"
        " left_cause FROM membership_history ORDER BY user_id, entered_at"
    ).rows


def _fill(store: Store, cluster: str = "cluster-1") -> None:
    """Apply what the topic holds: Bob left, Dan came, Ann was added once more."""
    store.remember_origin(cluster, {})
    store.apply(
        Coder().payload(
            [("acme", "dan", "S1", True, 20, "c"), ("acme", "ann", "S1", True, 21, "c")],
            segments=(segment_facts(offset=5, syncs=(SyncFacts("c", 2, "sync", 20, 21),)),),
            positions={("memberships", 0): 30},
            now_ms=50,
        )
    )


def test_history_is_carried_over_and_differences_become_history(folder: StateFolder) -> None:
    """Stays from before are kept; what differs has the cause rebuild; the earlier time holds."""
    store = rebuild.begin(folder, now_ms=40)
    with store:
        _fill(store)
        done = rebuild.finish(store, now_ms=60)
        assert done == rebuild.Rebuilt(carried_over=True, entered=1, left=1)
        assert members(store) == {("acme", "dan", "S1"): 20, ("acme", "ann", "S1"): 5}
        assert _history(store) == [
            ("ann", 5, None, "a", "sync", None),
            ("bob", 5, 60, "a", "sync", "rebuild"),
            ("cat", 4, 9, "a", "sync", "sync"),
            ("dan", 20, None, "c", "rebuild", None),
        ]
        assert store.origin().history_since_ms == 1


def test_positions_counts_and_syncs_are_carried_over(folder: StateFolder) -> None:
    """The counts' topic need not be read again; syncs of before are still told."""
    with rebuild.begin(folder, now_ms=40) as store:
        _fill(store)
        rebuild.finish(store, now_ms=60)
        assert store.positions() == {("memberships", 0): 30, ("counts", 0): 3}
        assert store.database.run("SELECT records FROM outcome").rows == [(3,)]
        (facts,) = store.segments().facts
        assert facts is not None
        assert [each.sync_id for each in facts.syncs] == ["a", "c"]


def test_positions_of_another_cluster_are_not(folder: StateFolder) -> None:
    """Offsets mean nothing in another cluster."""
    with rebuild.begin(folder, now_ms=40) as store:
        _fill(store, "cluster-2")
        rebuild.finish(store, now_ms=60)
        assert store.positions() == {("memberships", 0): 30}


def test_the_version_leaps_and_payloads_go_on(folder: StateFolder) -> None:
    """No index of before can be taken for one of the new store; and it is opened as the store."""
    with rebuild.begin(folder, now_ms=40) as store:
        _fill(store)
        rebuild.finish(store, now_ms=60)
        assert store.version > 2
        coder = Coder.of(store)
        store.apply(coder.payload([("acme", "cat", "S1", True, 70, "d")]))
        version = store.version
    with Store(folder, now_ms=80) as again:
        assert again.version == version
        assert members(again)["acme", "cat", "S1"] == 70
    assert not folder.being_built.exists()


def test_a_rebuild_given_up_leaves_the_old_store(folder: StateFolder) -> None:
    """Closing the new one instead of finishing it changes nothing; the next start sweeps up."""
    with rebuild.begin(folder, now_ms=40) as store:
        _fill(store)
    with Store(folder, now_ms=80) as again:
        assert set(members(again)) == {("acme", "ann", "S1"), ("acme", "bob", "S1")}
        assert again.version == 2


def test_a_damaged_store_is_kept_aside(folder: StateFolder) -> None:
    """Its history is lost, which is said; the new store holds what the topic holds."""
    folder.store.write_bytes(b"no database at all" * 1_000)
    with rebuild.begin(folder, now_ms=40) as store:
        _fill(store)
        done = rebuild.finish(store, now_ms=60)
        assert not done.carried_over
        assert done.problem is not None
        assert str(folder.damaged(60)) in done.problem
        assert len(members(store)) == 2
    assert folder.damaged(60).read_bytes().startswith(b"no database")


def test_without_an_old_store_there_is_nothing_to_carry_over(tmp_path: Path) -> None:
    """A new node begins with what the topic holds."""
    with rebuild.begin(StateFolder(tmp_path), now_ms=40) as store:
        _fill(store)
        assert rebuild.finish(store, now_ms=60) == rebuild.Rebuilt()
        assert len(members(store)) == 2
        assert store.origin().history_since_ms == 40
