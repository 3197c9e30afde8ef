from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from state.backup import back_up, restore
from state.errors import BackupExists, StoreCorrupt, StoreLocked, StoreMissing
from state.folder import StateFolder
from state.replicas import Replicas
from state.store import Store
from tests.state.payloads import Coder, members

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder whose store knows Ann, and that Bob left."""
    folder = StateFolder(tmp_path / "state")
    with Store(folder, now_ms=1) as store:
        coder = Coder()
        store.apply(coder.payload([("acme", name, "S1", True, 5, "a") for name in ("ann", "bob")]))
        store.apply(coder.payload([("acme", "bob", "S1", False, 6, "b")], now_ms=77))
    return folder


def test_a_backup_brings_memberships_and_history_back(folder: StateFolder, tmp_path: Path) -> None:
    """After the folder is lost, another one is as the first was; and the version leaps."""
    made = back_up(folder, tmp_path / "backup.duckdb")
    assert (made.version, made.as_of_ms, made.memberships, made.changes) == (2, 77, 1, 3)
    assert made.size_bytes == made.path.stat().st_size
    other = StateFolder(tmp_path / "other")
    restored = restore(other, made.path, now_ms=100)
    assert (restored.memberships, restored.changes) == (1, 3)
    with Store(other, now_ms=101) as store:
        assert members(store) == {("acme", "ann", "S1"): 5}
        assert store.database.run("SELECT count(*) FROM membership_history").value == 2
        assert store.version == restored.version > 2
        store.apply(Coder.of(store).payload([("acme", "cat", "S1", True, 9, None)]))


def test_a_backup_replaces_a_damaged_store(folder: StateFolder, tmp_path: Path) -> None:
    """What stands in the folder is replaced, be it readable or not."""
    made = back_up(folder, tmp_path / "backup.duckdb")
    folder.store.write_bytes(b"damaged" * 10_000)
    with pytest.raises(StoreCorrupt):
        Store(folder, now_ms=2)
    restore(folder, made.path, now_ms=100)
    with Store(folder, now_ms=101) as store:
        assert len(members(store)) == 1


def test_beside_a_writer_the_newest_replica_is_backed_up(
    folder: StateFolder, tmp_path: Path
) -> None:
    """The writer is not disturbed; what it did since the replica is not in the backup."""
    with Store(folder, now_ms=9) as store, Replicas(folder) as replicas:
        replicas.refresh(store)
        assert replicas.finished(60.0)
        store.apply(Coder.of(store).payload([("acme", "cat", "S1", True, 9, None)]))
        made = back_up(folder, tmp_path / "backup.duckdb")
        assert (made.version, made.memberships) == (2, 1)
        with pytest.raises(StoreLocked):
            restore(folder, made.path, now_ms=100)


def test_a_backup_is_read_like_a_replica(folder: StateFolder, tmp_path: Path) -> None:
    """It is a DuckDB file with the views analysts know."""
    made = back_up(folder, tmp_path / "backup.duckdb")
    with duckdb.connect(made.path, read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM membership").fetchall() == [(1,)]


def test_an_existing_file_is_not_overwritten(folder: StateFolder, tmp_path: Path) -> None:
    """A backup never replaces another."""
    there = tmp_path / "backup.duckdb"
    there.write_bytes(b"older")
    with pytest.raises(BackupExists, match="another name"):
        back_up(folder, there)
    assert there.read_bytes() == b"older"


def test_what_is_no_backup_is_refused(folder: StateFolder, tmp_path: Path) -> None:
    """A file of something else, a cut one and none at all change nothing."""
    other = tmp_path / "other.duckdb"
    with duckdb.connect(other) as database:
        database.execute("CREATE TABLE x AS SELECT 1")
    cut = tmp_path / "cut.duckdb"
    whole = back_up(folder, tmp_path / "whole.duckdb").path.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (other, cut):
        with pytest.raises(StoreCorrupt):
            restore(folder, path, now_ms=100)
    with pytest.raises(StoreMissing):
        restore(folder, tmp_path / "none", now_ms=100)
    with Store(folder, now_ms=101) as store:
        assert store.version == 2


def test_nothing_to_back_up_is_said(tmp_path: Path) -> None:
    """Without a store there is no backup, and no file."""
    with pytest.raises(StoreMissing):
        back_up(StateFolder(tmp_path / "none"), tmp_path / "backup.duckdb")
    assert list(tmp_path.iterdir()) == []
