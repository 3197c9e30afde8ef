"""Reads the topics for a process that has its hands full; a program of its own, see `read_apart`.

Standard input says once what to read, and its end is the end of this process, whatever it is doing:
it never outlives who started it. Standard output takes what was read; what libraries may print goes
to standard error.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Final

from consumers.materializer.frames import Came, FrameReader, FrameWriter
from consumers.materializer.source import KafkaSource
from heapline.errors import HeaplineError, MustStop, RegistryUnavailable
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.many_records import expect_many_records
from heapline.telemetry.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.materializer.frames import Order
    from consumers.materializer.parts import Part
    from consumers.materializer.source import Reading

_LOOK_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 0.5


def serve(
    source: Reading,
    unreadable: Counter[str],
    out: FrameWriter,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Write down what comes, until an error ends it.

    Args:
        source: open.
        unreadable: counts what the source passes over; emptied here.
        out: where to.
        pause: waits for so many seconds.
    """
    while True:
        parts: list[Part] = []
        error: Exception | None = None
        try:
            parts = source.read(_LOOK_SECONDS)
        except Exception as caught:  # noqa: BLE001 -- raised where it can be dealt with
            error = _portable(caught)
        if parts or unreadable or error is not None:
            out.write(Came(parts, dict(unreadable), error))
            unreadable.clear()
        if isinstance(error, RegistryUnavailable):
            pause(_RETRY_SECONDS)
        elif error is not None:
            return


def _portable(error: Exception) -> Exception:
    """Give an error that can be sent; what nobody expected comes with the place it came from."""
    if isinstance(error, HeaplineError):
        error.__cause__ = None
        return error
    told = MustStop(f"reading failed: {error!r}")
    told.add_note("".join(traceback.format_exception(error)))
    return told


def main() -> None:
    """Read what standard input orders."""
    out = FrameWriter(os.fdopen(os.dup(1), "wb", buffering=0))
    os.dup2(2, 1)
    asked = os.fdopen(os.dup(0), "rb", buffering=0)
    order: Order = FrameReader(asked).read()
    threading.Thread(target=_end_with, args=(asked.fileno(),), daemon=True).start()
    expect_many_records()
    configure_logs(order.log)
    for name, level in order.levels.items():
        logging.getLogger(name or None).setLevel(level)
    unreadable: Counter[str] = Counter()

    def count(what: str) -> None:
        unreadable[what] += 1

    names = Names(order.kafka.prefix)
    with Registry(order.registry) as registry:
        source = KafkaSource(order.kafka, names, registry, order.erasures, count)
        with closing(source):
            source.open(order.positions, whole_pages=order.whole_pages)
            serve(source, unreadable, out)


def _end_with(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):
        sys.exit(0)  # who asked is gone
