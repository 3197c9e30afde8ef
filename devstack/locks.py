"""Locks between processes, given back by the kernel when their holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from heapline.clock import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from heapline.clock import Clock

_POLL_SECONDS: Final = 0.1


@contextmanager
def locked(
    path: Path, clock: Clock, *, wait_seconds: float, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created and stays.

    Args:
        path: the file.
        clock: for waiting.
        wait_seconds: how long another holder is waited for.
        on_wait: called once, when there is another holder.

    Raises:
        TimeoutError: another process still holds it.
    """
    deadline = Deadline(clock, wait_seconds)
    while True:
        with path.open("a") as file:
            _acquire(file.fileno(), deadline, clock, on_wait)
            if not _still_there(path, file.fileno()):
                continue
            yield
            return


def _still_there(path: Path, descriptor: int) -> bool:
    """Tell whether the file is the one at that path: the last holder may have deleted it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _acquire(
    descriptor: int, deadline: Deadline, clock: Clock, on_wait: Callable[[], None] | None
) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
                on_wait = None
            if deadline.passed():
                raise TimeoutError from None
            clock.sleep(_POLL_SECONDS)
        else:
            return
