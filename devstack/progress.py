"""Telling a person how far the first download is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from rich.console import Console


class Reporter(Protocol):
    """Hears what is going on; called from several threads."""

    def begin(self, total_bytes: int) -> None:
        """Hear that so much is going to be fetched."""
        ...

    def at(self, name: str, done_bytes: int) -> None:
        """Hear how much of one file is here; less than before when it is fetched again."""
        ...

    def say(self, message: str) -> None:
        """Hear what happens now."""
        ...

    def end(self) -> None:
        """Hear that nothing more comes, for better or worse."""
        ...


class SilentReporter:
    """Tells nobody."""

    def begin(self, total_bytes: int) -> None:
        """See `Reporter.begin`."""

    def at(self, name: str, done_bytes: int) -> None:
        """See `Reporter.at`."""

    def say(self, message: str) -> None:
        """See `Reporter.say`."""

    def end(self) -> None:
        """See `Reporter.end`."""


class ConsoleReporter:
    """Draws a bar on a terminal, and writes single lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._done: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, total_bytes: int) -> None:
        """See `Reporter.begin`."""
        self.say(f"Fetching Kafka and the schema registry once ({total_bytes // 1_000_000} MB)")
        if not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("  "),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._progress.add_task("", total=total_bytes)
        self._progress.start()

    def at(self, name: str, done_bytes: int) -> None:
        """See `Reporter.at`."""
        with self._lock:
            self._done[name] = done_bytes
            if self._progress is not None:
                total = sum(self._done.values())
                self._progress.update(self._progress.task_ids[0], completed=total)

    def say(self, message: str) -> None:
        """See `Reporter.say`."""
        self._console.print(message, highlight=False, markup=False)

    def end(self) -> None:
        """See `Reporter.end`."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
