"""`heapline state`: each command on a real state folder, with its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from state.folder import StateFolder, WriterLock
from tests.command import heapline
from tests.consumers.materializer.looking import by_index, by_store
from tests.consumers.materializer.writing import Page, PageWriter
from tests.on_kafka import environment_for, make_topics, settings_for

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from devstack.world import World

pytestmark = pytest.mark.slow
TRUTH = {("acme", "s1"): {"ada", "bob"}}


class Shell:
    """Runs the command on one test's topics and state folder."""

    def __init__(self, world: World, prefix: str, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self._environment = environment_for(world, prefix) | {
            "HEAPLINE_STATE__DIRECTORY": str(self.state)
        }
        settings = settings_for(world, prefix)
        self.pages = PageWriter(settings, make_topics(settings, 2), 2)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command line."""
        return heapline(*arguments, folder=self.folder, settings=self._environment)


@pytest.fixture
def shell(world: World, prefix: str, tmp_path: Path) -> Shell:
    """Give a shell whose store holds two memberships."""
    there = Shell(world, prefix, tmp_path)
    there.pages.write(Page(add=["ada", "bob"]))
    done = there("materialize", "--until-caught-up", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changes"] == 2
    return there


def test_a_whole_store_verifies(shell: Shell) -> None:
    """In words and as JSON, with exit code 0."""
    assert "all is well" in shell("state", "verify").stdout
    found = json.loads(shell("state", "verify", "--json").stdout)
    assert (found["ok"], found["memberships"], found["problems"]) == (True, 2, [])


def test_a_wrong_index_is_told_and_mended(shell: Shell) -> None:
    """Exit code 1, and what to do; after that all is well."""
    for path in (shell.state / "index").glob("*.index"):
        path.write_bytes(path.read_bytes()[:100])
    done = shell("state", "verify", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False
    assert "start it again" in done.stderr
    assert shell("materialize", "--until-caught-up").returncode == 0
    assert shell("state", "verify").returncode == 0


def test_a_store_is_rebuilt_from_the_topic(shell: Shell) -> None:
    """Even where its file is garbage; it is kept aside."""
    StateFolder(shell.state).store.write_bytes(b"garbage" * 10_000)
    broken = shell("materialize", "--until-caught-up")
    assert broken.returncode == 1
    assert "heapline state rebuild" in broken.stderr
    done = shell("state", "rebuild")
    assert done.returncode == 0, done.stderr
    assert by_store(shell.state) == by_index(shell.state) == TRUTH
    assert list(shell.state.glob("*damaged*"))
    assert shell("state", "verify").returncode == 0


def test_a_backup_is_brought_back_and_read_on_from(shell: Shell) -> None:
    """What came after the backup is in the topic, and comes again."""
    target = shell.folder / "backup.duckdb"
    assert shell("state", "backup", str(target)).returncode == 0
    assert shell("state", "backup", str(target)).returncode == 1
    shell.pages.write(Page(add=["eve"], remove=["bob"]))
    assert shell("materialize", "--until-caught-up").returncode == 0
    done = shell("state", "restore", str(target), "--yes", "--json")
    assert json.loads(done.stdout)["memberships"] == 2
    assert shell("materialize", "--until-caught-up").returncode == 0
    assert by_store(shell.state) == by_index(shell.state) == {("acme", "s1"): {"ada", "eve"}}
    assert shell("state", "verify").returncode == 0


def test_a_store_shrinks_and_stays_what_it_was(shell: Shell) -> None:
    """The index stays valid: nothing is built anew."""
    done = shell("state", "shrink", "--json")
    assert json.loads(done.stdout)["bytes_after"] > 0
    again = json.loads(shell("materialize", "--until-caught-up", "--json").stdout)
    assert (again["index_built"], again["rebuilt"]) == (False, None)
    assert by_store(shell.state) == TRUTH


@pytest.mark.parametrize("command", [["shrink"], ["rebuild"], ["restore", "b.duckdb", "--yes"]])
def test_a_store_that_is_being_written_is_left_alone(shell: Shell, command: list[str]) -> None:
    """Who holds it is told, with what to do."""
    assert shell("state", "backup", "b.duckdb").returncode == 0
    with WriterLock(StateFolder(shell.state)):
        done = shell("state", *command)
    assert done.returncode == 1
    assert "Stop it first" in done.stderr


def test_a_folder_without_a_store_says_what_makes_one(tmp_path: Path) -> None:
    """No command makes an empty store by itself."""
    settings = {"HEAPLINE_STATE__DIRECTORY": str(tmp_path / "none")}
    for command in (["verify"], ["shrink"], ["backup", str(tmp_path / "b")]):
        done = heapline("state", *command, folder=tmp_path, settings=settings)
        assert done.returncode == 1
        assert "heapline materialize" in done.stderr
