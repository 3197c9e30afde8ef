"""The membership index as this server sees it: not there yet, there, or renewed meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from heapline.clock import Clock, Deadline, SystemClock
from heapline.memberships import IndexUnavailable, MembershipReader
from heapline.telemetry.logs import logger
from web.lookup_answers import Answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

AGAIN_SECONDS: Final = 0.5
"""Between two tries to open an index that is not there."""
LOOK_SECONDS: Final = 0.005
"""Between two looks for a new generation, while a request waits for one."""
REFRESH_SECONDS: Final = 5.0
"""Between two looks into the folder itself: it may have been replaced as a whole."""
AGE_MS: Final = 600_000
"""Time alone makes a segment stale or partial: answers of an older index are written anew."""
_log = logger(__name__)


class OpenIndex:
    """Opens the index as soon as it is there, and gives the answers of its newest generation.

    Args:
        folder: the index, in the state folder.
        clock: for waiting.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._reader: MembershipReader | None = None
        self._answers: Answers | None = None
        self._missing: IndexUnavailable | None = None
        self._again_at = 0.0
        self._watch: asyncio.Task[None] | None = None

    def answers(self) -> Answers:
        """Give the newest generation's answers.

        Raises:
            IndexUnavailable: there is none; the message says what to do.
        """
        view = (self._reader or self._opened()).pinned()
        age = (self._clock.epoch_ms() - view.freshness.as_of_ms) // AGE_MS
        if self._answers is None or (self._answers.view, self._answers.age) != (view, age):
            self._answers = Answers(view, age)
        return self._answers

    async def answers_when(self, reached: Callable[[Answers], bool], seconds: float) -> Answers:
        """Wait for a generation that has come far enough; others are served meanwhile.

        Args:
            reached: tells of a generation's answers.
            seconds: the longest to wait.

        Raises:
            TimeoutError: it did not come.
            IndexUnavailable: see `answers`.
        """
        deadline = Deadline(self._clock, seconds)
        while not reached(answers := self.answers()):
            if deadline.passed():
                raise TimeoutError
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._newer_than(answers, seconds))
            await asyncio.wait({self._watch}, timeout=deadline.left())
        return answers

    async def ask(self) -> None:
        """See `web.health.Check`."""
        self.answers()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look into the folder now and then."""
        looking = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            for task in (looking, self._watch):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _newer_than(self, known: Answers, seconds: float) -> None:
        """End with the next generation: one task looks for everybody who waits."""
        deadline = Deadline(self._clock, seconds)
        while self._answers is known and not deadline.passed():
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(IndexUnavailable):
                self.answers()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            if self._reader is not None:
                try:
                    await asyncio.to_thread(self._reader.refresh)
                except IndexUnavailable as error:
                    _log.warning("index_not_refreshed", reason=str(error))

    def _opened(self) -> MembershipReader:
        now = self._clock.monotonic()
        if self._missing is not None and now < self._again_at:
            raise self._missing
        try:
            self._reader = MembershipReader(self._folder, self._clock)
        except IndexUnavailable as error:
            if str(error) != str(self._missing):
                _log.warning("not_ready", reason=str(error))
            self._missing, self._again_at = error, now + AGAIN_SECONDS
            raise
        self._missing = None
        return self._reader
