"""Forwarder processes of a round, with limits that bite and waits that are short."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from tests.chaos.processes import wait_until_it_listens

if TYPE_CHECKING:
    import subprocess

    from tests.forwarding.harness import Forwarding

PER_APP: Final = 6_000
PER_IDENTITY: Final = 1_000
_BRIEF: Final = {
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_APP": str(PER_APP),
    "HEAPLINE_LIMITS__EVENTS_PER_MINUTE_PER_IDENTITY": str(PER_IDENTITY),
    "HEAPLINE_LIMITS__EVENTS_PER_REQUEST": "40",
    "HEAPLINE_FORWARDER__DEFERRAL_MIN_SECONDS": "0.5",
    "HEAPLINE_FORWARDER__DEFERRAL_MAX_SECONDS": "2",
    "HEAPLINE_FORWARDER__PROBE_INITIAL_SECONDS": "0.3",
    "HEAPLINE_FORWARDER__PROBE_MAX_SECONDS": "1",
    "HEAPLINE_FORWARDER__UNAVAILABLE_AFTER_SECONDS": "3",
}


_NO_BROKER: Final = "no Kafka answers: "
"""What a forwarder says that is started while no broker is there; whoever started it tries again,
as a supervisor would."""


class Members:
    """Forwarder processes by name; all are killed in the end."""

    def __init__(self, there: Forwarding, bootstrap: str, **settings: str) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}
        self._there = there
        self._settings = {"HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": bootstrap, **settings}
        self.changed_at_ms: list[int] = []
        """When members came or went: whoever follows does not know what was sent before."""
        self._stacks: dict[str, ExitStack] = {}
        self._names = iter(f"member-{number}" for number in range(10_000))

    def join(self, *program: str) -> str:
        """Start one; give its name."""
        name = next(self._names)
        stack = self._stacks[name] = ExitStack()
        self.changed()
        environment = {**_BRIEF, "HEAPLINE_INSTANCE_ID": name, **self._settings}
        more: dict[str, Any] = {"program": program} if program else {}
        self.running[name] = stack.enter_context(self._there.forwarder(**more, **environment))
        return name

    def changed(self) -> None:
        """Take note that partitions change hands about now."""
        self.changed_at_ms.append(time.time_ns() // 1_000_000)

    def leave(self, name: str) -> None:
        """Ask one to end, and see that it ends well."""
        if name in self.running:
            wait_until_it_listens(self.running[name])
        self.check()
        process = self.running.pop(name, None)
        if process is None:
            return
        process.terminate()
        process.communicate(timeout=60)
        self.changed()
        self._stacks.pop(name).close()
        ended = process.returncode
        assert ended == 0, f"{name} ended with {ended}: {self._last()}"

    def kill(self, name: str) -> None:
        """End one without a word."""
        process = self.running.pop(name)
        self.changed()
        process.kill()
        self._stacks.pop(name).close()

    def check(self) -> None:
        """See that nobody has ended by itself; who found no broker at its start is replaced."""
        for name, process in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[name]
            self._stacks.pop(name).close()
            assert _NO_BROKER in self._last(), f"{name} ended by itself: {self._last()}"
            self.join()

    def close(self) -> None:
        """Kill whoever still runs."""
        for name in list(self.running):
            self.kill(name)

    def _last(self) -> str:
        return self._there.logs[-1][-1_500:] if self._there.logs else ""
