"""Fetching pinned files: in parallel, checked, resumed, and never half there."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.request
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from devstack.errors import DownloadFailed, WrongChecksum
from heapline import __version__
from heapline.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from io import FileIO
    from pathlib import Path

    from devstack.artifacts import Artifact
    from devstack.progress import Reporter

_CHUNK_BYTES: Final = 256 * 1024
_PARALLEL: Final = 8
_TIMEOUT_SECONDS: Final = 30.0
_PARTIAL_CONTENT: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_WORTH_RETRYING: Final = frozenset({408, 416, 425, 429, 500, 502, 503, 504})


class _Transient(Exception):
    """This attempt failed; the next may not."""


@dataclass(frozen=True, slots=True)
class Downloads:
    """Where files come from, where they go, and who hears of it.

    Attributes:
        base_url: root of a Maven repository.
        folder: the files lie here by their Maven path.
        reporter: hears of progress.
        backoff_seconds: waits between attempts at one file.
    """

    base_url: str
    folder: Path
    reporter: Reporter
    backoff_seconds: tuple[float, ...] = (0.5, 2.0, 5.0)

    def target(self, artifact: Artifact) -> Path:
        """Tell where a file lies once it is here."""
        return self.folder / artifact.path

    def missing(self, artifacts: Sequence[Artifact]) -> list[Artifact]:
        """Tell which are not here. A file gets its name only after its checksum was right."""
        return [each for each in artifacts if not self._here(each)]

    def fetch(self, artifacts: Sequence[Artifact]) -> None:
        """Fetch files; what came so far stays for the next time, also when this is interrupted.

        The caller sees to it that no two processes do this at once in one folder.

        Raises:
            DownloadFailed: the network or the repository.
            WrongChecksum: what came is something else.
            InvalidSetting: the base URL is none.
            OSError: the disk.
        """
        if urlsplit(self.base_url).scheme not in {"http", "https"}:
            raise InvalidSetting(f"HEAPLINE_DEV__MAVEN_URL is no http(s) URL: {self.base_url}")
        self.reporter.begin(sum(each.size_bytes for each in artifacts))
        stop = threading.Event()
        pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="download")
        try:
            _first_failure(
                pool.submit(self._fetch_one, each, stop)
                for each in sorted(artifacts, key=lambda each: -each.size_bytes)
            )
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            self.reporter.end()

    def _here(self, artifact: Artifact) -> bool:
        target = self.target(artifact)
        return target.is_file() and target.stat().st_size == artifact.size_bytes

    def _fetch_one(self, artifact: Artifact, stop: threading.Event) -> None:
        why = ""
        for wait_seconds in (0.0, *self.backoff_seconds):
            if stop.wait(wait_seconds):
                return
            try:
                self._attempt(artifact, stop)
            except _Transient as error:
                why = str(error)
            else:
                return
        raise DownloadFailed(self._url(artifact), why)

    def _attempt(self, artifact: Artifact, stop: threading.Event) -> None:
        part = self._part(artifact)
        part.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._receive(artifact, part, stop)
        if stop.is_set():
            return
        found = _sha256(part)
        if found == artifact.sha256:
            part.replace(self.target(artifact))
            return
        part.unlink()
        if resumed:
            raise _Transient("an earlier half was not of the same file")
        raise WrongChecksum(self._url(artifact), expected=artifact.sha256, found=found)

    def _receive(self, artifact: Artifact, part: Path, stop: threading.Event) -> bool:
        """Append what is missing to the part; tell whether there was an earlier half."""
        start = part.stat().st_size if part.exists() else 0
        if start >= artifact.size_bytes:
            return True
        with self._open(artifact, start) as response:
            resumed = start > 0 and response.status == _PARTIAL_CONTENT
            with part.open("ab" if resumed else "wb", buffering=0) as file:
                self._copy(artifact, response, file, stop)
                os.fsync(file.fileno())
        came = part.stat().st_size
        if came < artifact.size_bytes and not stop.is_set():
            raise _Transient(f"the connection ended after {came} of {artifact.size_bytes} bytes")
        return resumed

    def _open(self, artifact: Artifact, start: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"heapline/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = urllib.request.Request(self._url(artifact), headers=headers)  # noqa: S310 -- scheme checked in fetch
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 -- as above
                request, timeout=_TIMEOUT_SECONDS
            )
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(artifact, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Transient(str(getattr(error, "reason", error))) from error
        return response

    def _refused(self, artifact: Artifact, error: urllib.error.HTTPError) -> Exception:
        why = f"HTTP {error.code} {error.reason}"
        if error.code == _RANGE_NOT_SATISFIABLE:
            self._part(artifact).unlink(missing_ok=True)
        if error.code in _WORTH_RETRYING:
            return _Transient(why)
        return DownloadFailed(self._url(artifact), why)

    def _copy(
        self,
        artifact: Artifact,
        response: http.client.HTTPResponse,
        file: FileIO,
        stop: threading.Event,
    ) -> None:
        done = file.tell()
        while not stop.is_set() and done <= artifact.size_bytes:
            self.reporter.at(artifact.path, done)
            chunk = _read(response)
            if not chunk:
                return
            _write(file, chunk)
            done += len(chunk)

    def _url(self, artifact: Artifact) -> str:
        return f"{self.base_url.rstrip('/')}/{artifact.path}"

    def _part(self, artifact: Artifact) -> Path:
        target = self.target(artifact)
        return target.with_name(target.name + ".part")


def is_disk_full(error: OSError) -> bool:
    """Tell whether the disk, or the person's share of it, is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def _first_failure(submitted: Iterable[Future[None]]) -> None:
    """Wait until all are done or one has failed; raise what failed first."""
    done, _ = wait(list(submitted), return_when=FIRST_EXCEPTION)
    for each in done:
        each.result()


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Transient(f"the connection broke: {error!r}") from error


def _write(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
