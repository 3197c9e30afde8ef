"""The real forwarder, in a thread of the demo: it ends with it, whatever ends it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from consumers.forwarder.run import forward
from consumers.forwarder.totals import Totals
from heapline.clock import Clock, Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from heapline.settings import Settings

LONGEST_SECONDS: Final = 600.0
"""Then it is stopped, and what is still waiting shows in the table."""
_LOOK_EVERY_SECONDS: Final = 0.25


class _Run:
    """`heapline forward --until-caught-up`, in a thread."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self._settings = settings
        self._deadline = deadline
        self._asked = threading.Event()
        self._totals = Totals()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._forward, name="forwarder", daemon=True)
        self._thread.start()

    def is_going_on(self, wait_seconds: float) -> bool:
        """Wait so long for the end; tell whether it has not come."""
        self._thread.join(wait_seconds)
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end, and wait until it has, or as long as its settings allow."""
        self._asked.set()
        self._thread.join(self._settings.forwarder.shutdown_seconds)

    def totals(self) -> Totals:
        """Give what it did; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._totals

    def _forward(self) -> None:
        try:
            self._totals = forward(self._settings, self._is_stopping, until_caught_up=True)
        except BaseException as error:  # noqa: BLE001 -- raised again where somebody waits for it
            self._error = error

    def _is_stopping(self) -> bool:
        return self._asked.is_set() or self._deadline.passed()


def forward_all(
    settings: Settings,
    clock: Clock,
    look: Callable[[], None],
    longest_seconds: float = LONGEST_SECONDS,
) -> Totals:
    """Forward until everything there now is settled.

    Args:
        settings: of the forwarder.
        clock: for `longest_seconds`.
        look: called a few times a second meanwhile.
        longest_seconds: then it is stopped in good order.

    Raises:
        HeaplineError: as the forwarder.
    """
    run = _Run(settings, Deadline(clock, longest_seconds))
    try:
        while run.is_going_on(_LOOK_EVERY_SECONDS):
            look()
    finally:
        run.stop()
    return run.totals()
