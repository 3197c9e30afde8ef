from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from state import rewriting
from state.errors import DiskFull
from state.folder import StateFolder
from state.payload import OutcomeFacts, Payload
from state.rewriting import erase, shrink
from state.store import Store
from tests.state.payloads import Coder, members, segment_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Give a store with three users, one of whom left, in two workspaces."""
    coder = Coder()
    with Store(StateFolder(tmp_path / "state"), now_ms=1) as opened:
        opened.apply(
            coder.payload(
                [
                    ("acme", "secret-ann", "S1", True, 5, "a"),
                    ("acme", "bob", "S2", True, 5, "a"),
                    ("acme", "cat", "S1", True, 6, "a"),
                    ("zeta", "secret-ann", "S1", True, 6, "z"),
                ],
                segments=(segment_facts(),),
                positions={("memberships", 0): 7},
            )
        )
        opened.apply(coder.payload([("acme", "cat", "S1", False, 9, "b")]))
        yield opened


def _history(store: Store) -> list[tuple[object, ...]]:
    return store.database.run(
        "SELECT workspace, user_id, segment_id, epoch_ms(changed_at), change, sync_task_id"
        " FROM membership_change ORDER BY ALL"
    ).rows


def test_a_shrunk_store_is_the_same_store(store: Store) -> None:
    """Members, history, rows, positions and version are as before; later payloads work."""
    before = members(store), _history(store), store.segments().facts, store.positions()
    shrink(store, now_ms=100)
    assert (members(store), _history(store), store.segments().facts, store.positions()) == before
    assert store.version == 2
    store.apply(Coder.of(store).payload([("acme", "cat", "S1", True, 20, None)]))
    assert members(store)["acme", "cat", "S1"] == 20


def test_shrinking_orders_memberships_and_sums_counts(store: Store) -> None:
    """Rows stand by segment and user again, and counts of one kind are one row."""
    count = OutcomeFacts("acme", "events", "nudge_shown", "skipped", "filtered", 60_000, 3)
    for _ in range(3):
        store.apply(Payload(now_ms=1, outcomes=(count,)))
    shrink(store, now_ms=100)
    rows = store.database.columns("SELECT segment, person FROM stored.membership")
    pairs = list(zip(rows["segment"].tolist(), rows["person"].tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert store.database.run("SELECT records FROM stored.outcome").rows == [(9,)]


def test_shrinking_tells_sizes_and_leaves_nothing_beside(store: Store) -> None:
    """The file's bytes before and after are told; the file that was built is the store now."""
    store.checkpoint()
    size = store.folder.store.stat().st_size
    assert shrink(store, now_ms=100) == (size, store.folder.store.stat().st_size)
    assert not store.folder.being_built.exists()


def test_an_erased_user_is_gone_and_others_are_not(store: Store) -> None:
    """Members and history of the others, and of his namesake elsewhere, are as before."""
    version = store.version
    assert erase(store, [("acme", "secret-ann"), ("acme", "nobody")], now_ms=100) == 1
    assert members(store) == {("acme", "bob", "S2"): 5, ("zeta", "secret-ann", "S1"): 6}
    assert _history(store) == [
        ("acme", "bob", "S2", 5, "enter", "a"),
        ("acme", "cat", "S1", 6, "enter", "a"),
        ("acme", "cat", "S1", 9, "leave", "b"),
        ("zeta", "secret-ann", "S1", 6, "enter", "z"),
    ]
    assert store.users().user_id.tolist() == ["bob", "cat", "secret-ann"]
    assert np.array_equal(store.users().workspace, [0, 0, 1])
    assert store.version > version + 1


def test_no_byte_of_an_erased_user_is_left_in_the_folder(store: Store) -> None:
    """A search through every file of the state folder finds nothing of him."""
    store.folder.damaged(5).write_bytes(b"secret-ann")
    assert erase(store, [("acme", "secret-ann"), ("zeta", "secret-ann")], now_ms=100) == 2
    store.checkpoint()
    found = [
        path
        for path in store.folder.path.rglob("*")
        if path.is_file() and b"secret-ann" in path.read_bytes()
    ]
    assert found == []


def test_erasing_nobody_changes_nothing(store: Store) -> None:
    """A user nobody knows, or none at all, leaves the version as it is."""
    assert erase(store, [("acme", "nobody"), ("nowhere", "bob")], now_ms=100) == 0
    assert erase(store, [], now_ms=100) == 0
    assert store.version == 2


def test_the_store_goes_on_after_an_erasure(store: Store) -> None:
    """The user may come back with a later sync, under a new code."""
    erase(store, [("acme", "secret-ann")], now_ms=100)
    store.apply(Coder.of(store).payload([("acme", "secret-ann", "S1", True, 200, None)]))
    assert members(store)["acme", "secret-ann", "S1"] == 200


def test_a_rewrite_that_fails_leaves_the_store_as_it_was(store: Store) -> None:
    """What was built is thrown away, and the store is open as before."""
    before = members(store)
    store.folder.being_built.mkdir()
    with pytest.raises((DiskFull, OSError)):
        shrink(store, now_ms=100)
    store.folder.being_built.rmdir()
    assert members(store) == before
    assert rewriting.shrink(store, now_ms=101)[1] > 0
