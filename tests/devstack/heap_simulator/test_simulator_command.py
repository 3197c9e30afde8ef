"""The simulator as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SimulatorClient
from devstack.heap_simulator.faults import Hang
from tests.devstack.heap_simulator.raw_http import open_socket, read_to_end, single, track_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "devstack.heap_simulator"]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], SimulatorClient]]:
    """A simulator process that listens, and a client of it."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield running, SimulatorClient(running.stdout.readline().split()[-1])
        finally:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """It writes its port, and on a signal ends with 0, removes the file and says nothing."""
    port_file = tmp_path / "new folder" / "port"
    with process("--port-file", str(port_file)) as (running, simulator):
        assert simulator.is_healthy()
        assert simulator.url == f"http://127.0.0.1:{port_file.read_text().strip()}"
        simulator.faults(Hang())
        with open_socket(simulator.url) as hanging:
            hanging.sendall(track_request(single()))
            while simulator.ledger().requests == 0:
                pass
            running.send_signal(number)
            assert read_to_end(hanging) == b""
        _, complaints = running.communicate(timeout=120)
        assert (running.returncode, complaints) == (0, "")
    assert not port_file.exists()


def test_options_reach_the_simulator() -> None:
    """Limits, app ids and the other options are in force from the first request."""
    with process(
        "--events-per-minute-per-app=3",
        "--events-per-minute-per-identity=2",
        "--only-apps=11, 12",
        "--retry-after=seconds",
        "--explain",
        "--seed=7",
    ) as (_, simulator):
        limits = simulator.limits()
        assert limits.events_per_minute_per_app == 3
        assert limits.events_per_minute_per_identity == 2
        assert limits.retry_after == "seconds"
        assert [simulator.track(single(app)) for app in ("11", "12", "13")] == [200, 200, 401]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "heap.example"])  # noqa: S104 - refused
def test_remote_hosts_are_refused(host: str) -> None:
    """It does not listen where others can reach it unless that is said twice."""
    done = subprocess.run([*COMMAND, "--host", host], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--allow-remote" in done.stderr


def test_remote_hosts_are_allowed_when_meant() -> None:
    """Said twice, it listens everywhere."""
    with process("--host", "0.0.0.0", "--allow-remote") as (_, simulator):  # noqa: S104 - as meant
        assert SimulatorClient(simulator.url.replace("0.0.0.0", "127.0.0.1")).is_healthy()  # noqa: S104 - the same


def test_a_port_in_use_is_explained() -> None:
    """A port that is taken ends it with 1 and one line that names the port."""
    with process() as (_, simulator):
        port = simulator.url.rsplit(":", 1)[1]
        done = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert port in done.stderr
    assert done.stderr.count("\n") == 1
