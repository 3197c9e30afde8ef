"""Something that takes a while, done while something else is."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Beside(Generic[_T]):
    """Does something in a thread of its own from now on.

    The thread is a daemon: should the process end first, nobody waits for it.

    Args:
        task: what to do, once.
        name: of the thread.
    """

    def __init__(self, task: Callable[[], _T], name: str) -> None:
        self._task = task
        self._done: list[_T] = []
        self._failed: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for its end, whatever came of it."""
        self._thread.join()

    def result(self) -> _T:
        """Wait for it, and give what it gave, or raise what it raised."""
        self.wait()
        if self._failed is not None:
            raise self._failed
        return self._done[0]

    def _run(self) -> None:
        try:
            self._done.append(self._task())
        except BaseException as error:  # noqa: BLE001 -- raised where the result is asked for
            self._failed = error
