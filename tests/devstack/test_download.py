"""Downloads are whole or not there, go on where they stopped, and say what to do."""

from __future__ import annotations

import os
import random
import socket
from typing import TYPE_CHECKING

import pytest

from devstack.artifacts import Artifact
from devstack.download import Downloads
from devstack.errors import DownloadFailed, WrongChecksum
from devstack.progress import SilentReporter
from heapline.errors import InvalidSetting
from tests.fakes.maven_repository import MavenRepository, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BODY = random.Random(1).randbytes(100_000)
_COORDINATES = "org.example:thing:1.0"


@pytest.fixture
def repository() -> Iterator[MavenRepository]:
    """Serve an empty repository."""
    with serving(MavenRepository()) as running:
        yield running


def _downloads(repository: MavenRepository, folder: Path) -> Downloads:
    return Downloads(repository.url, folder, SilentReporter(), backoff_seconds=(0.0, 0.0))


def _left_over(folder: Path) -> list[str]:
    return [each.name for each in folder.rglob("*.part")]


def test_many_files_come_whole(repository: MavenRepository, tmp_path: Path) -> None:
    """All files are there under their Maven paths, and nothing else."""
    bodies = {f"org.example:thing{i}:1.0": os.urandom(1 + i * 5_000) for i in range(20)}
    wanted = [repository.add(name, body) for name, body in bodies.items()]
    downloads = _downloads(repository, tmp_path)
    downloads.fetch(wanted)
    assert [(tmp_path / each.path).read_bytes() for each in wanted] == list(bodies.values())
    assert downloads.missing(wanted) == []
    assert _left_over(tmp_path) == []


def test_a_broken_connection_is_taken_up_again(repository: MavenRepository, tmp_path: Path) -> None:
    """After a connection that broke off, only the rest is asked for."""
    wanted = repository.add(_COORDINATES, _BODY)
    repository.cut_after_bytes = [40_000]
    _downloads(repository, tmp_path).fetch([wanted])
    assert (tmp_path / wanted.path).read_bytes() == _BODY
    assert repository.requests == [(wanted.path, None), (wanted.path, "bytes=40000-")]


def test_what_a_killed_process_left_is_used(repository: MavenRepository, tmp_path: Path) -> None:
    """A half-written file of an earlier process is completed."""
    wanted = repository.add(_COORDINATES, _BODY)
    part = tmp_path / f"{wanted.path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(_BODY[:70_000])
    _downloads(repository, tmp_path).fetch([wanted])
    assert (tmp_path / wanted.path).read_bytes() == _BODY
    assert repository.requests == [(wanted.path, "bytes=70000-")]


@pytest.mark.parametrize("size", [100, 100_000, 200_000])
def test_a_spoiled_half_is_fetched_again(
    repository: MavenRepository, tmp_path: Path, size: int
) -> None:
    """A half-written file with wrong content, of any length, is thrown away and fetched anew."""
    wanted = repository.add(_COORDINATES, _BODY)
    part = tmp_path / f"{wanted.path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * size)
    _downloads(repository, tmp_path).fetch([wanted])
    assert (tmp_path / wanted.path).read_bytes() == _BODY
    assert _left_over(tmp_path) == []


def test_passing_trouble_passes(repository: MavenRepository, tmp_path: Path) -> None:
    """Answers that mean "later" are tried again."""
    wanted = repository.add(_COORDINATES, _BODY)
    repository.statuses = [503, 429]
    _downloads(repository, tmp_path).fetch([wanted])
    assert (tmp_path / wanted.path).read_bytes() == _BODY


def test_other_content_is_refused(repository: MavenRepository, tmp_path: Path) -> None:
    """What has another checksum is not kept, and the error tells both."""
    wanted = repository.add(_COORDINATES, _BODY)
    repository.files[wanted.path] = b"\0" * len(_BODY)
    downloads = _downloads(repository, tmp_path)
    with pytest.raises(WrongChecksum, match=wanted.sha256) as refused:
        downloads.fetch([wanted])
    assert refused.value.found != wanted.sha256
    assert downloads.missing([wanted]) == [wanted]
    assert _left_over(tmp_path) == []


def test_more_than_expected_is_refused(repository: MavenRepository, tmp_path: Path) -> None:
    """An answer that is too long is refused too."""
    wanted = repository.add(_COORDINATES, _BODY)
    repository.files[wanted.path] = _BODY + b"more"
    with pytest.raises(WrongChecksum):
        _downloads(repository, tmp_path).fetch([wanted])


def test_an_absent_file_is_told_at_once(repository: MavenRepository, tmp_path: Path) -> None:
    """404 is not tried again; the error names the address and the setting."""
    absent = Artifact(_COORDINATES, "0" * 64, 10)
    with pytest.raises(DownloadFailed, match="HEAPLINE_DEV__MAVEN_URL") as failed:
        _downloads(repository, tmp_path).fetch([absent])
    assert failed.value.url == f"{repository.url}/{absent.path}"
    assert len(repository.requests) == 1


def test_the_real_cause_is_told(repository: MavenRepository, tmp_path: Path) -> None:
    """When one file fails, its error is raised although others were broken off for it."""
    repository.pause_seconds = 0.05
    slow = repository.add("org.example:slow:1.0", os.urandom(1_000_000))
    absent = Artifact(_COORDINATES, "0" * 64, 10)
    with pytest.raises(DownloadFailed) as failed:
        _downloads(repository, tmp_path).fetch([slow, absent])
    assert failed.value.url.endswith(absent.path)


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    """Where nothing listens, the error tells how to go on."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        downloads = Downloads(url, tmp_path, SilentReporter(), backoff_seconds=(0.0,))
        with pytest.raises(DownloadFailed, match="needs the network once"):
            downloads.fetch([Artifact(_COORDINATES, "0" * 64, 10)])


def test_only_http_is_asked(tmp_path: Path) -> None:
    """A base URL of another kind is the caller's mistake."""
    downloads = Downloads(tmp_path.as_uri(), tmp_path, SilentReporter())
    with pytest.raises(InvalidSetting, match="HEAPLINE_DEV__MAVEN_URL"):
        downloads.fetch([Artifact(_COORDINATES, "0" * 64, 10)])
