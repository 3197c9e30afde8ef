"""Tests of `heapline demo` as a process: alone in the world, and leaving no trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.demo import exit_code
from cli.output import ExitCode
from devstack.demo.segments import Answered
from devstack.demo.verdict import Verdict
from devstack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "demo"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Give an environment that points to a Kafka the demo must not ask, and empty folders."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / ".env").write_text("HEAPLINE_KAFKA__SASL_USERNAME=somebody\n")
    own = {name: value for name, value in os.environ.items() if not name.startswith("HEAPLINE_")}
    maven = os.environ.get("HEAPLINE_DEV__MAVEN_URL")
    return {
        **own,
        **({"HEAPLINE_DEV__MAVEN_URL": maven} if maven else {}),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "TMPDIR": str(tmp_path / "tmp"),
        "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "HEAPLINE_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1",
        "HEAPLINE_HEAP__API_URL": "http://127.0.0.1:1",
        "HEAPLINE_KAFKA__PREFIX": "theirs-",
    }


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Stack]:
    """Give the world a kept demo leaves, and end it afterwards."""
    stack = Stack(tmp_path / "data" / "heapline" / "demo")
    yield stack
    stack.down(delete_data=True)
    assert not (tmp_path / "data" / "heapline" / "demo").exists()


@pytest.mark.parametrize(
    ("lost", "wrong", "code"),
    [
        ([], [], ExitCode.DONE),
        (["one event is lost"], [], ExitCode.FAILED),
        ([], ["a wrong answer"], ExitCode.FAILED),
    ],
)
def test_any_problem_is_exit_code_1(lost: list[str], wrong: list[str], code: ExitCode) -> None:
    """Continuous integration goes by the exit code alone."""
    assert exit_code(Verdict([], lost, 1.0), Answered(problems=wrong)) is code


@pytest.mark.kafka
@pytest.mark.slow
def test_json_alone_on_stdout_and_the_world_left_running(
    elsewhere: dict[str, str], tmp_path: Path, kept: Stack
) -> None:
    """With variables that point elsewhere it uses its own world, and --keep leaves that."""
    done = subprocess.run(
        [*COMMAND, "--json", "--keep", "--events", "300"],
        env=elsewhere,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads(done.stdout)
    assert plain["lost"] == 0
    assert plain["ok"] is True
    assert plain["kept_in"] == str(kept.data_folder)
    assert sum(each["published"] for each in plain["workspaces"].values()) == 300
    segments = plain["segments"]
    assert segments["problems"] == []
    assert [row["member_count"] for row in segments["segments"]] == [30_000, 15_000, 30_000, 5_000]
    assert segments["audience"]["match"] == 24_999
    assert segments["overlap"][0] == ["Signed up this week", "At risk of leaving", 14_999]
    assert segments["drained"] == {"before": 5_000, "after": 0}
    assert kept.running_world() is not None
    assert "Paying customers" in httpx.get(f"{segments['console']}/console/aurora/segments").text
    assert "Publish 300 events" in done.stderr


@pytest.mark.kafka
@pytest.mark.slow
def test_ctrl_c_stops_everything(elsewhere: dict[str, str], tmp_path: Path) -> None:
    """Interrupted in the middle, it ends with 130 and nothing is left, not even a folder."""
    with subprocess.Popen(
        [*COMMAND, "--events", "200000"],
        env=elsewhere,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Publish"):
                break
        world = next((tmp_path / "tmp").glob("heapline-world-*"))
        servers = Stack(world).world().servers
        assert all(server.is_running() for server in servers)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "is stopped" in err
    assert out == ""
    assert not any(server.is_running() for server in servers)
    assert list((tmp_path / "tmp").iterdir()) == []
