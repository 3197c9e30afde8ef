"""Getting the publisher ready while the server already answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from heapline.errors import NotReady, TryAgainLater
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGAIN_SECONDS: Final = 1.0
"""Between two tries to find topic and schema."""
FLUSH_SECONDS: Final = 10.0
"""How long a stop waits for events that nobody waits for any more."""
_log = logger(__name__)


class Openable(Protocol):
    """What is asked for topic and schema once, and closed at the end."""

    async def open(self) -> None:
        """Look for them.

        Raises:
            TryAgainLater, NotReady: they cannot be found now.
        """
        ...

    async def close(self, seconds: float | None = None) -> None:
        """Wait so long for what is queued, then give it up.

        Raises:
            TryAgainLater: something had to be given up.
        """
        ...


class Opening:
    """Tries in the background until topic and schema are found, so that no request waits for it.

    Once found they are known for good: a registry that goes down later stops nobody.
    """

    def __init__(self, publisher: Openable, again_seconds: float = AGAIN_SECONDS) -> None:
        self._publisher = publisher
        self._again_seconds = again_seconds
        self._error: TryAgainLater | NotReady | None = TryAgainLater(
            "starting: topic and schema are being looked up", retry_after_seconds=1.0
        )

    def check(self) -> None:
        """Do nothing when open.

        Raises:
            TryAgainLater, NotReady: why it is not.
        """
        if self._error is not None:
            raise self._error

    async def ask(self) -> None:
        """See `web.health.Check`."""
        self.check()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open in the background; at the end, hand over what is queued and close."""
        trying = asyncio.create_task(self._try())
        try:
            yield
        finally:
            trying.cancel()
            with suppress(asyncio.CancelledError):
                await trying
            try:
                await self._publisher.close(FLUSH_SECONDS)
            except TryAgainLater as error:
                _log.warning("events_given_up", reason=str(error))

    async def _try(self) -> None:
        while self._error is not None:
            try:
                await self._publisher.open()
                self._error = None
            except (TryAgainLater, NotReady) as error:
                self._not_yet(error)
            except Exception as error:  # noqa: BLE001 -- whatever it is, giving up would be for ever
                self._not_yet(TryAgainLater(f"looking for topic and schema failed: {error!r:.200}"))
            if self._error is not None:
                await asyncio.sleep(self._again_seconds)

    def _not_yet(self, error: TryAgainLater | NotReady) -> None:
        if str(error) != str(self._error):
            _log.warning("not_ready", reason=str(error))
        self._error = error
