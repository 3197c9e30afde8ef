"""Full disks, kills and damaged files: committed or not, never half, and never a wrong answer."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heapline.errors import HeaplineError
from state.errors import StateUnwritable, StoreCorrupt, StoreLocked
from state.folder import StateFolder, write_ahead_log
from state.store import Store
from state.verify import verify
from tests.command import ROOT, clean_environment
from tests.state.payloads import Coder
from tests.state.writing import ENTERING, STAYING, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder."""
    return StateFolder(tmp_path / "state")


def writer(folder: StateFolder, *options: str) -> subprocess.Popen[str]:
    """Start a writer in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.state.writing", str(folder.path), *options],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def check_whole(folder: StateFolder, printed: int) -> int:
    """Tell the version a folder is in: the last one told, or one that was just not told yet."""
    with Store(folder, now_ms=1) as store:
        version = store.version
        assert version in {printed, printed + 1}
        assert store.positions() == ({("memberships", 0): version} if version else {})
        verdict = verify(store.database, None, None)
        assert verdict.problems == []
        assert verdict.memberships == (version and STAYING * (version - 1) + ENTERING)
        assert verdict.users == ENTERING * version
        facts = store.segments().facts
        assert not version or (facts[0] is not None and facts[0].pages_offset == version)
    return version


def test_a_killed_writer_leaves_whole_payloads(folder: StateFolder) -> None:
    """Killed at any moment, nothing told as committed is lost, and nothing is there in part."""
    chance = random.Random(4)
    version = 0
    for _ in range(4):
        with writer(folder) as running:
            assert running.stdout is not None
            for _ in range(chance.randrange(1, 12)):
                version = int(running.stdout.readline())
            running.kill()
            rest = running.stdout.read().split()
        whole = [int(each) for each in rest if each.isdigit()]
        version = check_whole(folder, max([version, *whole]))


def test_a_full_disk_is_told_and_loses_nothing(folder: StateFolder) -> None:
    """The error says what to do; with room again the store goes on where it was."""
    with Store(folder, now_ms=1) as store:
        store.apply(numbered(Coder(), 1))
    room = folder.store.stat().st_size + 20_000
    with writer(folder, str(room)) as running:
        lines = running.communicate(timeout=120)[0].splitlines()
    assert lines[-1].startswith("DiskFull: no room to write")
    assert "free some space" in lines[-1]
    version = check_whole(folder, int(lines[-2]) if len(lines) > 1 else 1)
    with Store(folder, now_ms=1) as store:
        store.apply(numbered(Coder.of(store), version + 1))


def test_a_writer_in_another_process_is_named(folder: StateFolder) -> None:
    """Who comes second is refused, told who writes, and disturbs nobody."""
    with writer(folder) as running:
        assert running.stdout is not None
        first = int(running.stdout.readline())
        with pytest.raises(StoreLocked, match=f"process {running.pid} holds"):
            Store(folder, now_ms=1)
        assert int(running.stdout.readline()) == first + 1
        running.kill()


def _filled(folder: StateFolder) -> bytes:
    with Store(folder, now_ms=1) as store:
        coder = Coder()
        for version in range(1, 20):
            store.apply(numbered(coder, version))
    return folder.store.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_a_cut_file_is_told(folder: StateFolder, share: float) -> None:
    """A file that lacks its end, however much of it, is said to be damaged."""
    whole = _filled(folder)
    folder.store.write_bytes(whole[: max(1, int(len(whole) * share))])
    with pytest.raises(StoreCorrupt, match="heapline state rebuild"), Store(folder, 1) as store:
        verify(store.database, None, None)


def test_flipped_bytes_never_give_another_answer(folder: StateFolder) -> None:
    """Wherever a byte is flipped, the store is refused, or it is right."""
    whole = _filled(folder)
    chance = random.Random(5)
    refused = 0
    for _ in range(10):
        flipped = bytearray(whole)
        for place in [chance.randrange(len(whole)) for _ in range(3)]:
            flipped[place] ^= 1 << chance.randrange(8)
        folder.store.write_bytes(flipped)
        try:
            check_whole(folder, 19)
        except HeaplineError:
            refused += 1
    assert refused


def test_a_damaged_log_never_gives_half_a_payload(folder: StateFolder) -> None:
    """A log cut or flipped by a crash of the machine ends with a whole payload, or is refused."""
    with writer(folder) as running:
        assert running.stdout is not None
        for _ in range(5):
            running.stdout.readline()
        running.kill()
        running.stdout.read()
    log = write_ahead_log(folder.store)
    store, whole = folder.store.read_bytes(), log.read_bytes()
    chance = random.Random(6)
    for _ in range(5):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 0xFF
        for content in (bytes(damaged), whole[: chance.randrange(len(whole))]):
            folder.store.write_bytes(store)
            log.write_bytes(content)
            try:
                with Store(folder, now_ms=1) as opened:
                    assert verify(opened.database, None, None).problems == []
                    version = opened.version
                    assert opened.positions().get(("memberships", 0), 0) == version
                    assert opened.users().user_id.size == ENTERING * version
            except HeaplineError:
                continue


@contextmanager
def _without_rights() -> Iterator[None]:
    """Be somebody whom permissions bind, for root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_told() -> None:
    """A new store and an existing one in a read-only folder are refused alike."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        folder = StateFolder(place / "state")
        with Store(folder, now_ms=1) as store:
            store.apply(numbered(Coder(), 1))
        for path in (folder.path, *folder.path.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        place.chmod(0o555)
        with _without_rights():
            for refused in (folder, StateFolder(place / "new")):
                with pytest.raises(StateUnwritable, match="HEAPLINE_STATE__DIRECTORY"):
                    Store(refused, now_ms=1)
        for path in (place, folder.path, folder.analyst.parent, folder.replicas):
            path.chmod(0o755)
        folder.store.chmod(0o644)
        folder.lock.chmod(0o644)
        assert check_whole(folder, 1) == 1


def test_a_folder_on_a_file_is_told(tmp_path: Path) -> None:
    """Where no folder can be made, the error names the setting."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HeaplineError, match="HEAPLINE_STATE__DIRECTORY"):
        Store(StateFolder(tmp_path / "file" / "state"), now_ms=1)
