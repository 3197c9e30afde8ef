"""Logs are read from their ends, and followed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from devstack.log_files import follow, tail
from heapline.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _ActingClock(SystemClock):
    """Instead of sleeping, does what happens meanwhile."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def sleep(self, seconds: float) -> None:
        del seconds
        self._steps.pop(0)()


def test_the_tail_is_the_end(tmp_path: Path) -> None:
    """The last lines come in order, bad bytes replaced; no file is no lines."""
    log = tmp_path / "server.log"
    assert tail(log, 2) == []
    log.write_bytes(b"one\ntwo\nthr\xffee")
    assert tail(log, 2) == ["two", "thr\ufffdee"]
    assert tail(log, 0) == []


def test_following_gives_whole_new_lines(tmp_path: Path) -> None:
    """Only what is added comes, line by whole line, also after the log was begun anew."""
    log = tmp_path / "server.log"
    log.write_text("old\n")

    def put(text: str) -> Callable[[], object]:
        return lambda: log.write_text(text)

    clock = _ActingClock(put("old\nnew "), put("old\nnew line\n"), put("x\n"))
    assert list(islice(follow({"kafka": log}, clock), 2)) == [("kafka", "new line"), ("kafka", "x")]
