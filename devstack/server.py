"""What Kafka, the registry and the Heap simulator have in common: starting, answering, stopping."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from devstack.errors import ServerFailed
from devstack.log_files import tail
from devstack.process import ServerProcess
from heapline.clock import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from heapline.clock import Clock

JAVA_OPTIONS: Final = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=48m",
    "-Xss512k",
    "-Djava.net.preferIPv4Stack=true",
)
"""Start fast and stay small, rather than be fast after an hour."""
_ENVIRONMENT: Final[Mapping[str, str]] = {"MALLOC_ARENA_MAX": "2", "LC_ALL": "C.UTF-8"}
_MEANT_FOR_OTHERS: Final = ("JAVA_", "JDK_JAVA_", "KAFKA_", "APICURIO_", "QUARKUS_")
READY_SECONDS: Final = 90.0
"""How long a server may take until it answers: a machine busy with ten other things is slow."""
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05
_TAIL_LINES: Final = 20


def server_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Give a server's environment: without what would configure another Kafka or registry."""
    kept = {
        name: value for name, value in inherited.items() if not name.startswith(_MEANT_FOR_OTHERS)
    }
    return {**kept, **_ENVIRONMENT}


class Server(ABC):
    """One server of the world, whether it runs or not; safe to make in several processes at once.

    Attributes:
        name: as in `heapline dev logs NAME`.
        title: as people call it.
        log: where it writes.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path, ports: Mapping[str, int], clock: Clock) -> None:
        self._process = ServerProcess(folder, clock)
        self._ports = ports
        self._clock = clock
        self.folder = self._process.folder
        self.log = self._process.log

    @property
    def port(self) -> int:
        """The port clients connect to, on 127.0.0.1."""
        return self._ports[self.name]

    def has_port(self) -> bool:
        """Tell whether it was ever given a port, so that it has an address."""
        return self.name in self._ports

    @property
    @abstractmethod
    def address(self) -> str:
        """What clients are told: `host:port`, or a URL."""

    @abstractmethod
    def answers(self) -> bool:
        """Ask as a client would; False when there is no sensible answer within seconds."""

    @abstractmethod
    def arguments(self) -> Sequence[str]:
        """Give the command to run; the server's folder must be named in it."""

    @abstractmethod
    def prepare(self) -> None:
        """Do what must be done before a start; done again at every start."""

    def launch(self) -> bool:
        """Start it unless it runs; wake it when it is paused. Tell whether it was started."""
        if self.is_running():
            self.resume()
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._process.spawn(self.arguments(), server_environment(os.environ))
        return True

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer in time.
        """
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer in time.
        """
        deadline = Deadline(self._clock, seconds)
        while not self.ready():
            if deadline.passed():
                raise self.failed(f"did not answer within {seconds:.0f} s")
            self._clock.sleep(_POLL_SECONDS)

    def ready(self) -> bool:
        """Tell whether it answers.

        Raises:
            ServerFailed: it does not even run.
        """
        if not self.is_running():
            raise self.failed("ended while it was starting")
        return self.answers()

    def is_running(self) -> bool:
        """Tell whether its process exists, paused or not."""
        return self.pid() is not None

    def is_paused(self) -> bool:
        """Tell whether its process is paused."""
        return self._process.is_paused()

    def pid(self) -> int | None:
        """Give its process id, or None."""
        return self._process.pid()

    def memory_bytes(self) -> int:
        """Give its resident memory; 0 when it does not run."""
        return self._process.memory_bytes()

    def ask_to_stop(self) -> None:
        """Ask it to end (SIGTERM), and do not wait."""
        self._process.signal(signal.SIGTERM)
        self.resume()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End it in good order, or by force when that takes too long."""
        self.ask_to_stop()
        if not self._process.wait_until_gone(seconds):
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL), and wait until it is gone.

        Raises:
            ServerFailed: the kernel does not let go of it.
        """
        self._process.signal(signal.SIGKILL)
        if not self._process.wait_until_gone(_STOP_SECONDS):
            raise self.failed("cannot be ended")

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open, nothing is answered."""
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._process.signal(signal.SIGCONT)

    def failed(self, what: str) -> ServerFailed:
        """Make the error that tells what happened, with the end of the log."""
        return ServerFailed(self.title, what, self.log, "\n".join(tail(self.log, _TAIL_LINES)))
