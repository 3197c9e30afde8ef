"""Worlds that last as long as somebody needs them: for tests, benchmarks and the demo."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devstack.stack import ALL, Stack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from devstack.progress import Reporter
    from devstack.world import World

_GUARD_SECONDS: Final = 60.0


@contextmanager
def temporary_world(
    *,
    servers: Collection[str] = ALL,
    heap_options: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Iterator[World]:
    """Run a world in a folder of its own; both are gone afterwards, even if this process is killed.

    Args:
        servers: which to start, of `devstack.stack.ALL`.
        heap_options: more arguments for the Heap simulator.
        reporter: hears of the first download.

    Raises:
        HeaplineError: as `Stack.up`.
    """
    folder = Path(tempfile.mkdtemp(prefix="heapline-world-"))
    guard = subprocess.Popen(
        [sys.executable, "-m", "devstack.guard", str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stack = Stack(folder, heap_options=heap_options)
        yield stack.up(servers=servers, reporter=reporter)
    finally:
        guard.communicate(timeout=_GUARD_SECONDS)
