"""`heapline dev` tells what runs where, in words, JSON and shell."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from cli.dev import app
from devstack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World


def _dev(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Path]:
    """Run a world of which only the Heap simulator runs, in a folder that needs quoting."""
    stack = Stack(tmp_path / "it's here")
    stack.up(servers=("heap",))
    yield stack.data_folder
    stack.down()


def test_env_is_for_a_shell(world: World) -> None:
    """A shell that evaluates the output has exactly the settings of the running world."""
    told = _dev("env", "--data", str(world.data_folder))
    assert told.exit_code == 0
    names = " ".join(f'"${name}"' for name in world.environment())
    shell = f"{told.stdout}printf '%s\\n' {names}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, env={})
    assert done.stdout.splitlines() == list(world.environment().values())


def test_env_of_a_stopped_world_says_what_to_do(tmp_path: Path) -> None:
    """Where nothing runs, nothing is exported: exit code 1 and the command to run."""
    told = _dev("env", "--data", str(tmp_path))
    assert told.exit_code == 1
    assert told.stdout == ""
    assert "heapline dev up" in told.stderr


def test_env_of_half_a_world_says_what_to_do(half: Path) -> None:
    """A world of which something died is not exported either."""
    told = _dev("env", "--data", str(half))
    assert (told.exit_code, told.stdout) == (1, "")


def test_up_on_a_running_world_changes_nothing(world: World) -> None:
    """`up` where everything runs starts nothing, and tells the addresses."""
    before = [each.pid() for each in world.servers]
    told = _dev("up", "--data", str(world.data_folder))
    assert told.exit_code == 0
    assert [each.pid() for each in world.servers] == before
    for address in world.environment().values():
        assert address in told.stdout


def test_status_as_json(world: World) -> None:
    """The JSON names folder, state, address, process and log of every server."""
    told = _dev("status", "--json", "--data", str(world.data_folder))
    status = json.loads(told.stdout)
    assert told.exit_code == 0
    assert status["data"] == str(world.data_folder)
    assert [each["name"] for each in status["servers"]] == ["kafka", "registry", "heap"]
    assert {each["state"] for each in status["servers"]} == {"answering"}
    assert [each["pid"] for each in status["servers"]] == [each.pid() for each in world.servers]


def test_status_of_half_a_world(half: Path) -> None:
    """In words, each server is told apart."""
    lines = _dev("status", "--data", str(half)).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["kafka", "stopped"],
        ["registry", "stopped"],
        ["heap", "answering"],
    ]


def test_status_of_nothing(tmp_path: Path) -> None:
    """A folder in which nothing ever ran is no error."""
    told = _dev("status", "--data", str(tmp_path / "new"))
    assert told.exit_code == 0
    assert told.stdout.count("stopped") == 3
    assert not (tmp_path / "new").exists()


def test_logs_are_told_apart(half: Path) -> None:
    """All logs come with their server's name before each line, one log without."""
    assert "heap     | Heap simulator listens" in _dev("logs", "--data", str(half)).stdout
    one = _dev("logs", "heap", "--lines", "1", "--data", str(half)).stdout
    assert one.startswith("Heap simulator listens")
    assert one.count("\n") == 1


def test_an_unknown_server_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2 for a server that does not exist."""
    assert _dev("logs", "zookeeper", "--data", str(tmp_path)).exit_code == 2


def test_down_tells_whether_anything_ran(half: Path) -> None:
    """`down` ends what runs, once; deleting tells which folder."""
    assert _dev("down", "--data", str(half)).stdout == "Stopped.\n"
    told = _dev("down", "--delete-data", "--data", str(half))
    assert told.stdout.startswith("Nothing was running.\n")
    assert not half.exists()


def test_the_folder_comes_from_the_settings(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --data, HEAPLINE_DEV__DATA says where."""
    monkeypatch.setenv("HEAPLINE_DEV__DATA", str(half))
    assert json.loads(_dev("status", "--json").stdout)["data"] == str(half)


def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown setting stops the command before anything is started."""
    monkeypatch.setenv("HEAPLINE_DEV__DATUM", "x")
    told = _dev("up")
    assert told.exit_code == 1
    assert "HEAPLINE_DEV__DATA" in told.stderr
