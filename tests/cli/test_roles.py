"""Roles in threads: they end together, and a failure is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from threading import Event
from typing import TYPE_CHECKING

import pytest

from cli.roles import Role, Roles
from tests.command import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

_FAILS_AT_ONCE = textwrap.dedent(
    """
    import signal, sys, time
    from cli.roles import Role, Roles
    from cli.run import _end_early
    from heapline.errors import NotReady

    def fails(stopping):
        raise NotReady("no topics")

    roles = Roles(Role("fails", fails), Role("waits", lambda stopping: time.sleep(0.1)))
    try:
        signal.signal(signal.SIGTERM, _end_early)
        roles.start()
        for _ in range(300):
            time.sleep(0.1)  # a signal just before a sleep waits for its end
    finally:
        roles.join()
    """
)


def test_all_end_when_asked() -> None:
    """Each is told, and waited for; one never begun is not."""
    ended: list[str] = []
    begun = Event()

    def role(name: str) -> Callable[[Callable[[], bool]], None]:
        def run(stopping: Callable[[], bool]) -> None:
            begun.set()
            while not stopping():
                begun.wait(0.01)
            ended.append(name)

        return run

    roles = Roles(Role("a", role("a")), Role("b", role("b")))
    roles.start()
    assert begun.wait(120)
    roles.join()
    assert sorted(ended) == ["a", "b"]
    Roles(Role("never", role("never"))).join()


def test_a_role_that_fails_at_once_is_told() -> None:
    """Even before anybody listens to signals: the process ends with its error, not of a signal."""
    done = subprocess.run(
        [sys.executable, "-c", _FAILS_AT_ONCE],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.returncode
    assert "NotReady: no topics" in done.stderr


def test_a_signal_ends_in_good_order() -> None:
    """What was begun is waited for before the process ends."""
    from cli.run import _end_early  # noqa: PLC0415 -- imports every role

    with pytest.raises(SystemExit) as ended:
        _end_early(signal.SIGTERM, None)
    assert ended.value.code == 0
