"""The world of one data folder: up, down, and what is going on."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devstack import ports
from devstack.errors import FolderBusy
from devstack.heap import HeapServer
from devstack.heapline_process import NAME, HeaplineProcess
from devstack.kafka import KafkaServer
from devstack.locks import locked
from devstack.programs import prepare
from devstack.progress import SilentReporter
from devstack.registry import RegistryServer
from devstack.server import READY_SECONDS
from devstack.world import World
from heapline.clock import Deadline, SystemClock
from heapline.errors import CallerMistake

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from devstack.programs import Programs
    from devstack.progress import Reporter
    from devstack.server import Server
    from heapline.clock import Clock

ALL: Final = ("kafka", "registry", "heap")
_PORT_NAMES: Final = (
    *KafkaServer.port_names,
    *RegistryServer.port_names,
    *HeapServer.port_names,
)
_LOCK: Final = "lock"
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 15.0
_RELEASE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How one server is.

    Attributes:
        state: `answering`, `paused`, `not answering` or `stopped`.
        address: what clients are told; empty when nothing was ever started here.
        pid: process id, or None.
        memory_bytes: resident.
        log: its log file.
    """

    name: str
    state: str
    address: str
    pid: int | None
    memory_bytes: int
    log: str

    def as_json(self) -> dict[str, str | int | None]:
        """Give the same as plain data."""
        return asdict(self)


def default_data_folder() -> Path:
    """Tell where the world is kept when nobody says (XDG Base Directory Specification)."""
    configured = os.environ.get("HEAPLINE_DEV__DATA")
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "heapline" / "dev"


class Stack:
    """The embedded world of one data folder; there is never more than one for a folder.

    Nothing is kept in memory: any process can make a `Stack` of the same folder and see, end or
    complete what another one started.
    """

    def __init__(
        self,
        data_folder: Path | None = None,
        *,
        clock: Clock | None = None,
        heap_options: Sequence[str] = (),
    ) -> None:
        """Name a world.

        Args:
            data_folder: where it is kept; by default `default_data_folder()`.
            clock: for waiting.
            heap_options: more arguments for the Heap simulator, when this starts it.
        """
        self.data_folder = (data_folder or default_data_folder()).absolute()
        self._clock = clock or SystemClock()
        self._heap_options = heap_options
        self._programs: Programs | None = None
        self._ports_file = self.data_folder / "ports.json"

    def up(
        self,
        *,
        reporter: Reporter | None = None,
        programs: Programs | None = None,
        servers: Collection[str] = ALL,
        ready_seconds: float = READY_SECONDS,
    ) -> World:
        """Start what does not run, wait until everything answers, and leave it running.

        When this fails or is interrupted, what it started is ended again; what ran before stays.

        Args:
            reporter: hears of the first download.
            programs: what to run; by default they are fetched and kept per person.
            servers: which to start, of `ALL`.
            ready_seconds: how long all of them together may take until they answer.

        Raises:
            ServerFailed: one ended, or did not answer in time; with the end of its log.
            FolderBusy: another process has been starting or stopping this world for long.
            EmbeddedMissing, DownloadFailed, WrongChecksum, DiskFull: see `devstack.programs`.
        """
        self._programs = programs or self._programs
        if set(servers) - {HeapServer.name}:
            self._prepared(reporter)
        self._make_folder()
        with self._alone():
            world = self._world(self._chosen_ports())
            wanted = [each for each in world.servers if each.name in servers]
            self._start(_startable(wanted), Deadline(self._clock, ready_seconds))
        return world

    def down(self, *, delete_data: bool = False) -> bool:
        """End whatever runs, a demo's heapline first; tell whether anything did.

        Args:
            delete_data: whether everything the servers kept is deleted too; whatever else lies
                in the folder stays.

        Raises:
            FolderBusy: see `up`.
        """
        if not self.data_folder.is_dir():
            return False
        with self._alone():
            of_a_demo = HeaplineProcess(self.data_folder / NAME, self._clock).stop()
            running = [each for each in self.world().servers if each.is_running()]
            _end(running, Deadline(self._clock, _STOP_SECONDS))
            if delete_data:
                self._delete_data()
        return bool(running) or of_a_demo

    def world(self) -> World:
        """Give handles on the servers without starting anything or asking whether they run.

        A server that never ran here has no port; its address cannot be asked for.
        """
        return self._world(ports.load(self._ports_file))

    def status(self) -> list[ServerStatus]:
        """Ask every server how it is."""
        return [_status(each) for each in self.world().servers]

    def running_world(self) -> World | None:
        """Give the world if all of its servers run, or else None."""
        world = self.world()
        expected = [each for each in world.servers if _exists(each)]
        return world if all(each.is_running() for each in expected) else None

    def _delete_data(self) -> None:
        for name in (*ALL, NAME):
            shutil.rmtree(self.data_folder / name, ignore_errors=True)
        self._ports_file.unlink(missing_ok=True)
        (self.data_folder / _LOCK).unlink(missing_ok=True)
        if not any(self.data_folder.iterdir()):
            self.data_folder.rmdir()

    def _prepared(self, reporter: Reporter | None = None) -> Programs:
        if self._programs is None:
            self._programs = prepare(reporter or SilentReporter(), clock=self._clock)
        return self._programs

    def _world(self, chosen: dict[str, int]) -> World:
        return World(
            self.data_folder,
            KafkaServer(self.data_folder / "kafka", chosen, self._clock, self._prepared),
            RegistryServer(self.data_folder / "registry", chosen, self._clock, self._prepared),
            HeapServer(self.data_folder / "heap", chosen, self._clock, self._heap_options),
        )

    def _chosen_ports(self) -> dict[str, int]:
        """Choose ports for what does not run; what runs keeps what it has."""
        remembered = ports.load(self._ports_file)
        running: set[str] = set()
        for server in self._world(remembered).servers:
            names = set(type(server).port_names)
            if names <= remembered.keys() and server.is_running():
                running |= names
            else:
                server.stop()
        chosen = ports.choose(
            _PORT_NAMES,
            remembered,
            lambda name, port: (
                (name in running and remembered.get(name) == port) or self._becomes_free(port)
            ),
            random.SystemRandom(),
        )
        ports.save(self._ports_file, chosen)
        return chosen

    def _becomes_free(self, port: int) -> bool:
        """Tell whether a port is free, or soon is: a process just killed may still hold it."""
        deadline = Deadline(self._clock, _RELEASE_SECONDS)
        while not ports.is_free(port):
            if deadline.passed():
                return False
            self._clock.sleep(_POLL_SECONDS)
        return True

    def _start(self, servers: Sequence[Server], deadline: Deadline) -> None:
        started: list[Server] = []
        try:
            # Kafka formats its folder first; meanwhile the others are starting already.
            for server in sorted(servers, key=lambda each: each.name == KafkaServer.name):
                started.append(server)
                if not server.launch():
                    started.remove(server)
            self._wait(servers, deadline)
        except BaseException:
            _end(started, Deadline(self._clock, 0.0))
            raise

    def _wait(self, servers: Sequence[Server], deadline: Deadline) -> None:
        waiting = list(servers)
        while waiting := [each for each in waiting if not each.ready()]:
            if deadline.passed():
                raise waiting[0].failed("did not answer in time; `heapline dev down` ends it")
            self._clock.sleep(_POLL_SECONDS)

    def _make_folder(self) -> None:
        try:
            self.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CallerMistake(
                f"cannot keep data in {self.data_folder} ({error.strerror}): "
                "name another folder with --data or HEAPLINE_DEV__DATA"
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self.data_folder / _LOCK
        try:
            with locked(lock, self._clock, wait_seconds=READY_SECONDS + _STOP_SECONDS):
                yield
        except TimeoutError as error:
            raise FolderBusy(self.data_folder) from error


def _exists(server: Server) -> bool:
    return not isinstance(server, HeapServer) or HeapServer.exists()


def _startable(servers: Sequence[Server]) -> list[Server]:
    return [each for each in servers if _exists(each)]


def _end(servers: Sequence[Server], deadline: Deadline) -> None:
    """End servers side by side: in good order until the deadline, then by force."""
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.stop(deadline.left())


def _status(server: Server) -> ServerStatus:
    pid = server.pid()
    return ServerStatus(
        name=server.name,
        state=_state(server),
        address=server.address if server.has_port() else "",
        pid=pid,
        memory_bytes=server.memory_bytes(),
        log=str(server.log),
    )


def _state(server: Server) -> str:
    if not server.is_running():
        return "stopped"
    if server.is_paused():
        return "paused"
    return "answering" if server.answers() else "not answering"
