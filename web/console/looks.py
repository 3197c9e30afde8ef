"""What takes long to find out, looked up beside the pages: none of them waits for it.

A page gets what is known, however old it is up to a bound, and a look that is too old begins anew
in a thread meanwhile. Only the first page of all may have to say that it is not known yet.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from heapline.errors import HeaplineError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from heapline.clock import Clock

T = TypeVar("T")
PATIENCE_SECONDS: Final = 0.04
"""How long a page waits for a look that has begun: it is to answer within a tenth of a second."""
RENEWING_SECONDS: Final = 15.0
"""How long a form that changed something waits until that shows."""
_MOST: Final = 1_000
"""Looks that are remembered; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What is known.

    Attributes:
        value: None where it is not known, yet or at all.
        missing: why it is not; empty where it is, and while it is looked up for the first time.
        age_seconds: how long ago it was found out.
    """

    value: T | None = None
    missing: str = ""
    age_seconds: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether it is being looked up for the first time."""
        return self.value is None and not self.missing


@dataclass(slots=True)
class _Kept:
    look: Look[Any]
    at: float
    task: asyncio.Task[None] | None = None


class Looks:
    """Remembers looks by what they are at.

    Args:
        clock: for their ages.
        patience_seconds: see `PATIENCE_SECONDS`.
    """

    def __init__(self, clock: Clock, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._kept: dict[Hashable, _Kept] = {}

    async def at(self, key: Hashable, ask: Callable[[], T], good_seconds: float) -> Look[T]:
        """Give what is known of something, and look again where that is old.

        Args:
            key: of what.
            ask: finds out, in a thread; a `HeaplineError` is told as what is missing.
            good_seconds: how old it may be before it is looked up anew.
        """
        kept = self._of(key)
        if self._clock.monotonic() - kept.at >= good_seconds:
            self._begin(kept, ask)
        if kept.task is not None:
            await asyncio.wait({kept.task}, timeout=self._patience_seconds)
        look = cast("Look[T]", kept.look)
        return Look(look.value, look.missing, max(0.0, self._clock.monotonic() - kept.at))

    async def renew(self, key: Hashable, ask: Callable[[], T]) -> None:
        """Look now, and wait for it: something was changed. One under way may be too early."""
        kept = self._of(key)
        if kept.task is not None:
            await asyncio.wait({kept.task}, timeout=RENEWING_SECONDS)
        task = self._begin(kept, ask)
        await asyncio.wait({task}, timeout=RENEWING_SECONDS)

    def forget(self, key: Hashable) -> None:
        """Know nothing of something any more: it has changed."""
        self._kept.pop(key, None)

    async def close(self) -> None:
        """Wait for what is under way."""
        tasks = {kept.task for kept in self._kept.values() if kept.task is not None}
        if tasks:
            await asyncio.wait(tasks)

    def _of(self, key: Hashable) -> _Kept:
        kept = self._kept.pop(key, None) or _Kept(Look(), float("-inf"))
        self._kept[key] = kept  # the latest asked for stands last
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return kept

    def _begin(self, kept: _Kept, ask: Callable[[], Any]) -> asyncio.Task[None]:
        if kept.task is None:
            kept.task = asyncio.create_task(self._look(kept, ask))
        return kept.task

    async def _look(self, kept: _Kept, ask: Callable[[], Any]) -> None:
        try:
            kept.look = Look(await asyncio.to_thread(ask))
        except HeaplineError as error:
            kept.look = Look(missing=str(error))
        finally:
            kept.at = self._clock.monotonic()
            kept.task = None
