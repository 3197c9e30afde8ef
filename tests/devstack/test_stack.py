"""One world a data folder, whoever starts or kills what; shown with the simulator alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.errors import FolderBusy, ServerFailed
from devstack.locks import locked
from devstack.server import server_environment
from devstack.stack import Stack, default_data_folder
from devstack.temporary import temporary_world
from heapline.clock import SystemClock
from heapline.errors import CallerMistake
from tests.devstack.processes import processes_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAP = ("heap",)
_UP = """
import sys
from pathlib import Path
from devstack.stack import Stack

print(Stack(Path(sys.argv[1])).up(servers=("heap",)).heap.pid())
"""
_HOLD = """
import time
from devstack.temporary import temporary_world

with temporary_world(servers=("heap",)) as world:
    print(world.data_folder, flush=True)
    time.sleep(60)
"""


class _LateClock(SystemClock):
    """Waits for nothing: each sleep passes an hour."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        del seconds
        self._slept += 3600.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack of an empty folder, and end it afterwards."""
    made = Stack(tmp_path / "data")
    yield made
    made.down()
    assert processes_of(made.data_folder) == []


def test_up_twice_is_up_once(stack: Stack) -> None:
    """A second `up`, also by somebody else, finds what runs."""
    pid = stack.up(servers=_HEAP).heap.pid()
    assert pid is not None
    assert Stack(stack.data_folder).up(servers=_HEAP).heap.pid() == pid


def test_two_at_once_start_one_world(stack: Stack) -> None:
    """Two processes that start at once end up with one server."""
    command = [sys.executable, "-c", _UP, str(stack.data_folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    pids = {each.communicate(timeout=120)[0] for each in both}
    assert pids == {f"{stack.world().heap.pid()}\n".encode()}


def test_ports_are_remembered(stack: Stack) -> None:
    """After a stop, everything comes back where it was; `down` says whether anything ran."""
    url = stack.up(servers=_HEAP).heap_url
    assert stack.down()
    assert not stack.down()
    assert stack.up(servers=_HEAP).heap_url == url


def test_a_taken_port_is_replaced(stack: Stack) -> None:
    """A port that somebody else has taken meanwhile is given up."""
    port = stack.up(servers=_HEAP).heap.port
    stack.down()
    with socket.create_server(("127.0.0.1", port)):
        world = stack.up(servers=_HEAP)
        assert world.heap.port != port
        assert world.heap.answers()


def test_what_died_is_started_again(stack: Stack) -> None:
    """After kill -9 of a server, `up` starts it again at the same place."""
    world = stack.up(servers=_HEAP)
    world.heap.kill()
    assert not world.heap.is_running()
    again = stack.up(servers=_HEAP)
    assert again.heap_url == world.heap_url
    assert again.heap.answers()


def test_a_stale_pid_file_is_ignored(stack: Stack) -> None:
    """An id that belongs to somebody else by now neither counts as running nor is killed."""
    stack.up(servers=_HEAP).heap.kill()
    (stack.data_folder / "heap" / "pid").write_text(str(os.getpid()))
    assert stack.status()[2].state == "stopped"
    assert stack.up(servers=_HEAP).heap.pid() != os.getpid()


def test_forgotten_ports_are_no_trap(stack: Stack) -> None:
    """When the remembered ports are lost while a server runs, it is started anew."""
    stack.up(servers=_HEAP)
    (stack.data_folder / "ports.json").unlink()
    assert stack.up(servers=_HEAP).heap.answers()
    assert len(processes_of(stack.data_folder)) == 1


def test_a_server_that_dies_shows_its_log(tmp_path: Path) -> None:
    """When a server ends while it starts, the error names its log and quotes the end."""
    stack = Stack(tmp_path / "data", heap_options=("--nonsense",))
    with pytest.raises(ServerFailed, match="unrecognized arguments: --nonsense") as failed:
        stack.up(servers=_HEAP)
    assert failed.value.log == tmp_path / "data" / "heap" / "server.log"
    assert processes_of(stack.data_folder) == []


def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    """A server that does not answer in time is not left behind."""
    stack = Stack(tmp_path / "data")
    with pytest.raises(ServerFailed, match="did not answer in time"):
        stack.up(servers=_HEAP, ready_seconds=0.0)
    assert processes_of(stack.data_folder) == []


def test_a_busy_folder_is_told(stack: Stack) -> None:
    """While another process starts the world, waiting for it ends with an error that says so."""
    stack.data_folder.mkdir()
    with (
        locked(stack.data_folder / "lock", SystemClock(), wait_seconds=1),
        pytest.raises(FolderBusy, match=str(stack.data_folder)),
    ):
        Stack(stack.data_folder, clock=_LateClock()).up(servers=_HEAP)


def test_pausing_shows(stack: Stack) -> None:
    """A paused server is shown as paused, and `up` wakes it."""
    heap = stack.up(servers=_HEAP).heap
    heap.pause()
    wait_until(heap.is_paused)
    assert stack.status()[2].state == "paused"
    stack.up(servers=_HEAP)
    assert stack.status()[2].state == "answering"


def test_deleting_spares_what_is_not_ours(stack: Stack) -> None:
    """`down` with deletion removes what the servers kept and nothing else."""
    stack.up(servers=_HEAP)
    mine = stack.data_folder / "mine.txt"
    mine.write_text("precious")
    stack.down(delete_data=True)
    assert list(stack.data_folder.iterdir()) == [mine]


def test_a_folder_that_cannot_be_is_told() -> None:
    """A data folder that cannot be made is the caller's mistake, with the way out."""
    with pytest.raises(CallerMistake, match="HEAPLINE_DEV__DATA"):
        Stack(Path("/dev/null/data")).up(servers=_HEAP)


def test_the_default_folder_follows_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The setting wins over XDG_DATA_HOME."""
    monkeypatch.delenv("HEAPLINE_DEV__DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_folder() == tmp_path / "heapline" / "dev"
    monkeypatch.setenv("HEAPLINE_DEV__DATA", "/data")
    assert default_data_folder() == Path("/data")


def test_a_temporary_world_leaves_nothing() -> None:
    """A temporary world is gone after its block, with its folder."""
    with temporary_world(servers=_HEAP) as world:
        assert world.heap.answers()
    assert processes_of(world.data_folder) == []
    assert not world.data_folder.exists()


def test_a_temporary_world_dies_with_its_owner() -> None:
    """Even when its owner is killed, a temporary world ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert len(processes_of(folder)) == 2
        owner.send_signal(signal.SIGKILL)
        wait_until(lambda: not folder.exists())
    wait_until(lambda: processes_of(folder) == [])


def test_settings_for_others_do_not_reach_the_servers() -> None:
    """Variables that configure some other Kafka, registry or Java are not handed on."""
    inherited = {
        "PATH": "/bin",
        "KAFKA_OPTS": "x",
        "QUARKUS_PROFILE": "x",
        "JAVA_TOOL_OPTIONS": "x",
    }
    kept = server_environment(inherited)
    assert kept["PATH"] == "/bin"
    assert not {"KAFKA_OPTS", "QUARKUS_PROFILE", "JAVA_TOOL_OPTIONS"} & kept.keys()
