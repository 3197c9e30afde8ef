"""What decides on many records at once, imported only when there are or may be many.

Polars and numpy take half a second to import, for which a single event need not wait.
"""

from __future__ import annotations

import os
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from consumers.forwarder.dispatcher import Dispatcher
    from consumers.forwarder.intake import Intake
    from heapline.kafka.codec import Decoder

_MODULES: Final = ("consumers.forwarder.message_columns", "consumers.forwarder.intake")


class Intakes:
    """Makes an `Intake`.

    One thread for polars, unless somebody says otherwise: batches are small, and idle workers cost
    more than they give.

    Args:
        dispatcher, decoder: see there.
    """

    def __init__(self, dispatcher: Dispatcher, decoder: Decoder) -> None:
        self._dispatcher = dispatcher
        self._decoder = decoder
        self._prepared = False
        os.environ.setdefault("POLARS_MAX_THREADS", "1")

    def prepare(self) -> None:
        """Import what it takes, beside whatever else goes on."""
        if not self._prepared:
            self._prepared = True
            Thread(target=_import, name="import", daemon=True).start()

    def make(self) -> Intake:
        """Make one, at once if all is imported."""
        from consumers.forwarder.intake import Intake  # noqa: PLC0415 -- what this is about

        return Intake(self._dispatcher, self._decoder)


def _import() -> None:
    for module in _MODULES:
        import_module(module)
