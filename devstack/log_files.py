"""Reading servers' logs: their ends, and what is added to them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from heapline.clock import Clock

_POLL_SECONDS: Final = 0.2


def tail(log: Path, lines: int) -> list[str]:
    """Give a log's last lines; none when there is no such file."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []


def follow(logs: Mapping[str, Path], clock: Clock) -> Iterator[tuple[str, str]]:
    """Give (name, line) for each line added to any of the logs from now on; never ends."""
    places = {name: _size(log) for name, log in logs.items()}
    while True:
        for name, log in logs.items():
            if _size(log) < places[name]:
                places[name] = 0
            for line in _added(log, places[name]):
                places[name] += len(line)
                yield name, line.decode("utf-8", "replace").rstrip("\n")
        clock.sleep(_POLL_SECONDS)


def _added(log: Path, place: int) -> list[bytes]:
    """Read the whole lines from a place on."""
    if _size(log) <= place:
        return []
    with log.open("rb") as file:
        file.seek(place)
        return [line for line in file if line.endswith(b"\n")]


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
