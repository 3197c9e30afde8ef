from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb
import pytest

from state.copying import copy
from state.errors import DiskFull, StateUnwritable, StoreMissing
from state.folder import StateFolder, write_ahead_log
from state.replicas import CURRENT, Replicas, open_replica, versions
from state.store import Store
from tests.state.payloads import Coder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder."""
    return StateFolder(tmp_path / "state")


@pytest.fixture
def store(folder: StateFolder) -> Iterator[Store]:
    """Give an empty store."""
    with Store(folder, now_ms=1) as opened:
        yield opened


def _enter(store: Store, coder: Coder, user: str) -> None:
    store.apply(coder.payload([("acme", user, "S1", True, 1, None)]))


def _count(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as reader:
        row = reader.execute("SELECT count(*) FROM membership").fetchone()
    assert row is not None
    return int(row[0])


def test_a_replica_holds_what_was_committed(folder: StateFolder, store: Store) -> None:
    """Both paths show what the store had applied; what comes later is not in it."""
    coder = Coder()
    _enter(store, coder, "ann")
    with Replicas(folder) as replicas:
        assert replicas.refresh(store)
        _enter(store, coder, "bob")
        assert replicas.finished(_PATIENCE)
        assert replicas.version == 1
    assert _count(folder.analyst) == 1
    with open_replica(folder) as replica:
        assert replica.one("SELECT version, memberships FROM about") == (1, 1)


def test_nothing_new_makes_no_replica(folder: StateFolder, store: Store) -> None:
    """A replica of the version that is there already would be for nothing."""
    with Replicas(folder) as replicas:
        assert replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
        assert not replicas.refresh(store)


def test_old_versions_go_and_an_open_one_stays_readable(folder: StateFolder, store: Store) -> None:
    """As many versions stay as asked for; who has an older one open keeps reading it."""
    coder = Coder()
    with Replicas(folder, kept=2) as replicas:
        _enter(store, coder, "first")
        replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
        with open_replica(folder) as held:
            for number in range(4):
                _enter(store, coder, f"u{number}")
                assert replicas.refresh(store)
                assert replicas.finished(_PATIENCE)
            assert held.one("SELECT count(*) FROM membership") == (1,)
    assert sorted(versions(folder)) == [4, 5]
    assert (folder.replicas / CURRENT).read_text() == "heapline-5.duckdb\n"


def test_readers_never_fail_while_replicas_are_replaced(folder: StateFolder, store: Store) -> None:
    """Whenever a reader opens either path it sees one whole version, never fewer than before."""
    coder = Coder()
    seen: list[int] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(_count(folder.analyst))
                with open_replica(folder) as replica:
                    seen.append(replica.one("SELECT count(*) FROM membership")[0])
        except BaseException as error:  # noqa: BLE001 -- told by the test
            failed.append(error)

    with Replicas(folder, kept=1) as replicas:
        _enter(store, coder, "first")
        replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(25):
            _enter(store, coder, f"u{number}")
            assert replicas.refresh(store)
            assert replicas.finished(_PATIENCE)
        done.set()
        reader.join()
    assert not failed, failed[0].__cause__ or str(failed[0])
    assert seen == sorted(seen)


def test_a_replica_may_not_be_written(folder: StateFolder, store: Store) -> None:
    """Its mode lets nobody write, so that an analyst's tool cannot by mistake."""
    with Replicas(folder) as replicas:
        replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
    assert folder.analyst.stat().st_mode & 0o222 == 0


def test_a_log_somebody_left_beside_the_replica_goes(folder: StateFolder, store: Store) -> None:
    """A log of another file beside the new replica would make it unreadable."""
    write_ahead_log(folder.analyst).write_bytes(b"not of this file")
    with Replicas(folder) as replicas:
        replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
    assert _count(folder.analyst) == 0


def test_half_copied_files_of_a_killed_process_go(folder: StateFolder, store: Store) -> None:
    """What was left over is removed before the first copy."""
    left = folder.replicas / ".heapline-77.duckdb.partial"
    left.write_bytes(b"half")
    with Replicas(folder) as replicas:
        replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
    assert not left.exists()


def test_a_copy_whose_writer_is_gone_is_thrown_away(tmp_path: Path) -> None:
    """The writer's successor may have changed the file while it was copied."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"bytes")
    with pytest.raises(ProcessLookupError):
        copy(source, [target], asked_by=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_copy_that_fails_is_told_and_can_be_tried_again(
    folder: StateFolder, store: Store
) -> None:
    """The error names the folder; the next attempt starts a new child."""
    coder = Coder()
    _enter(store, coder, "ann")
    aside = folder.path / "aside"
    folder.replicas.rename(aside)
    with Replicas(folder) as replicas:
        replicas.refresh(store)
        with pytest.raises((StateUnwritable, DiskFull), match="No such file"):
            replicas.finished(_PATIENCE)
        aside.rename(folder.replicas)
        assert replicas.refresh(store)
        assert replicas.finished(_PATIENCE)
    assert _count(folder.analyst) == 1


def test_no_replica_yet_is_said(folder: StateFolder) -> None:
    """The error says what makes one."""
    with pytest.raises(StoreMissing, match="heapline materialize"):
        open_replica(folder)


def test_all_can_be_forgotten(folder: StateFolder, store: Store) -> None:
    """After an erasure no replica is left, and the next one is a new one."""
    with Replicas(folder) as replicas:
        replicas.refresh(store)
        replicas.forget_all()
        assert not folder.analyst.exists()
        assert versions(folder) == {}
        assert replicas.refresh(store)
