from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from heapline.clock import SystemClock
from heapline.memberships import SegmentRow
from state import rebuild
from state.folder import StateFolder
from state.index_writer import IndexWriter
from state.replicas import Replicas
from state.rewriting import erase
from state.store import Store
from state.verify import verify, verify_folder
from tests.state.payloads import Coder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.state.payloads import Change


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder with a store in which users came, left and came again."""
    folder = StateFolder(tmp_path / "state")
    coder = Coder()
    with Store(folder, now_ms=1) as store:
        store.apply(coder.payload([_entry(f"u{number}", 5) for number in range(50)]))
        store.apply(coder.payload([_exit(f"u{number}", 6) for number in range(0, 50, 2)]))
        store.apply(coder.payload([_entry(f"u{number}", 7) for number in range(0, 50, 4)]))
    return folder


def _entry(user: str, at_ms: int) -> Change:
    return ("acme", user, "S1", True, at_ms, "a")


def _exit(user: str, at_ms: int) -> Change:
    return ("acme", user, "S1", False, at_ms, "b")


def _index(store: Store, version: int | None = None) -> None:
    """Build the index of a store's folder anew."""
    segments, names = store.segments(), store.workspaces()
    rows = [
        SegmentRow(names[workspace], segment_id)
        for workspace, segment_id in zip(
            segments.workspace.tolist(), segments.segment_id, strict=True
        )
    ]
    IndexWriter.build(
        store.folder.index,
        workspaces=names,
        segments=rows,
        users=store.users(),
        memberships=store.memberships(),
        version=store.version if version is None else version,
    ).close()


def test_a_right_store_has_no_problems(folder: StateFolder) -> None:
    """Codes, history and index agree, and what was looked at is told."""
    with Store(folder, now_ms=9) as store:
        _index(store)
    verdict = verify_folder(folder, SystemClock())
    assert verdict.problems == []
    assert (verdict.version, verdict.index_version) == (3, 3)
    assert (verdict.users, verdict.segments) == (50, 1)
    assert (verdict.memberships, verdict.changes) == (38, 88)


def test_beside_a_writer_the_replica_is_looked_at(folder: StateFolder) -> None:
    """An index older than the replica is compared with what the memberships were then."""
    with Store(folder, now_ms=9) as store, Replicas(folder) as replicas:
        _index(store)
        store.apply(Coder.of(store).payload([_exit("u0", 10), _entry("u2", 10)]))
        replicas.refresh(store)
        assert replicas.finished(60.0)
        verdict = verify_folder(folder, SystemClock())
    assert verdict.problems == []
    assert (verdict.version, verdict.index_version) == (4, 3)


def test_an_index_newer_than_the_replica_is_waited_for(folder: StateFolder) -> None:
    """A newer replica is waited for; where none comes, that is said."""
    with Store(folder, now_ms=9) as store, Replicas(folder) as replicas:
        replicas.refresh(store)
        assert replicas.finished(60.0)
        store.apply(Coder.of(store).payload([_exit("u0", 10)]))
        _index(store)
        verdict = verify_folder(folder, SystemClock(), patience_seconds=0)
        assert [each for each in verdict.problems if "run this again" in each]
        replicas.refresh(store)
        assert replicas.finished(60.0)
        assert verify_folder(folder, SystemClock()).problems == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DELETE FROM stored.membership WHERE person = 1", "1 are missing that"),
        ("INSERT INTO stored.membership VALUES (0, 2, 0)", "the history does not tell of"),
        ("INSERT INTO stored.membership VALUES (0, 1, 0)", "stand twice"),
        ("UPDATE stored.membership SET moment = 2 WHERE person = 1", "another time of entering"),
        ("INSERT INTO stored.history VALUES (0, 1, true, 2)", "not enters and leaves by turns"),
        ("UPDATE stored.person SET code = 3 WHERE code = 4", "each once"),
        ("UPDATE stored.person SET user_id = 'u3' WHERE code = 4", "repeat another's name"),
        ("INSERT INTO stored.membership VALUES (7, 2, 0)", "a segment that does not exist"),
    ],
)
def test_what_is_wrong_in_the_store_is_found(folder: StateFolder, damage: str, told: str) -> None:
    """Each kind of damage is told in words."""
    with Store(folder, now_ms=9) as store:
        store.database.run(damage)
        problems = verify(store.database, None, None).problems
    assert [each for each in problems if told in each], problems


def test_an_index_that_differs_is_found(folder: StateFolder) -> None:
    """Members, times and users' segments are compared in both directions."""
    with Store(folder, now_ms=9) as store:
        store.apply(Coder.of(store).payload([_exit("u1", 10)]))
        _index(store, version=3)
    problems = verify_folder(folder, SystemClock()).problems
    assert [each for each in problems if "has 37 members and should have 38" in each]
    assert [each for each in problems if "lacks 1 members" in each]
    assert [each for each in problems if "users are in other segments" in each]


def test_a_damaged_index_is_told(folder: StateFolder) -> None:
    """An index that cannot be opened is a problem, not an error."""
    with Store(folder, now_ms=9) as store:
        _index(store)
    for path in folder.index.glob("*.index"):
        path.write_bytes(b"no index")
    assert [each for each in verify_folder(folder, SystemClock()).problems if "index:" in each]


def test_erased_and_rebuilt_stores_are_right(folder: StateFolder) -> None:
    """After an erasure and after a rebuild, the memberships are the replay of the history."""
    with Store(folder, now_ms=9) as store:
        assert erase(store, [("acme", "u1"), ("acme", "u2")], now_ms=20) == 2
        _index(store)
    assert verify_folder(folder, SystemClock()).problems == []
    with rebuild.begin(folder, now_ms=30) as built:
        users = np.arange(40, 60).tolist()
        built.apply(Coder().payload([_entry(f"u{number}", 25) for number in users]))
        rebuild.finish(built, now_ms=40)
        _index(built)
    verdict = verify_folder(folder, SystemClock())
    assert verdict.problems == []
    assert verdict.memberships == 20
