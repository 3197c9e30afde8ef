from __future__ import annotations

import io
import json
import logging
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cli.main import run
from tests.command import heapline
from tests.on_kafka import environment_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World


@dataclass(frozen=True)
class Done:
    """What came of a command line."""

    returncode: int
    stdout: str
    stderr: str


class Person:
    """Types commands in one folder against one world; in this process, which is quicker."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name, value in settings.items():
            self.sets(name, value)

    def sets(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, value)

    def types(self, line: str, stdin: str = "") -> Done:
        """Run a command line; it never ends in a traceback."""
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        code = run(line.split())
        done = Done(code, *self._capsys.readouterr())
        assert "Traceback" not in done.stderr
        return done

    def gets(self, line: str) -> Any:  # noqa: ANN401 -- any JSON
        """Run a command line with --json that succeeds; give what it prints."""
        done = self.types(f"{line} --json")
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)


@pytest.fixture
def own_logs() -> Iterator[None]:
    """Give the process's logs back as they were."""
    root, kafka = logging.getLogger(), logging.getLogger("librdkafka")
    before = (root.handlers, root.level, kafka.level)
    yield
    root.handlers = before[0]
    root.setLevel(before[1])
    kafka.setLevel(before[2])


@pytest.fixture
def person(
    world: World,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_logs: None,
) -> Person:
    """Somebody with the shared world, before anything is made in it."""
    del own_logs
    return Person(tmp_path, environment_for(world, prefix), monkeypatch, capsys)


@pytest.fixture
def ready(person: Person) -> Person:
    """The same, with topics and schemas."""
    assert person.types("topics apply --partitions 1").returncode == 0
    assert person.types("schemas register").returncode == 0
    return person


def test_check_apply_check(person: Person) -> None:
    """Topics and schemas: exit code 1 with what to do, then made, then 0."""
    for room, make in (("topics", "apply"), ("schemas", "register")):
        missing = person.types(f"{room} check")
        assert missing.returncode == 1
        assert f"run `heapline {room} {make}`" in missing.stdout
        assert person.types(f"{room} check --json").returncode == 1
        assert person.types(f"{room} {make}").returncode == 0
        assert person.types(f"{room} check").returncode == 0
        assert person.gets(f"{room} check") == {"findings": []}
    assert person.gets("topics apply") == {"created": [], "altered": {}}
    registered = person.gets("schemas register")["schemas"]
    assert {each["did"] for each in registered} == {"unchanged"}


def test_topics_apply_refuses_another_count(ready: Person) -> None:
    """Exit code 1, both counts named."""
    done = ready.types("topics apply --partitions 2")
    assert done.returncode == 1
    assert "has 1 partitions, not 2" in done.stderr


def test_connections_change_only_what_is_named(ready: Person) -> None:
    """Lists are replaced when named and emptied by --no-..."""
    ready.gets("connections set acme --app-id 11 --region eu --include nudge_* --include cb:*")
    ready.gets("connections set acme --block urls --block commands --anonymous send")
    row = ready.gets("connections set acme --send on --exclude nudge_x")
    assert (row["app_id"], row["region"], row["send"], row["version"]) == ("11", "eu", "on", 3)
    assert (row["include"], row["exclude"]) == (["nudge_*", "cb:*"], ["nudge_x"])
    assert (row["blocked_categories"], row["send_anonymous"]) == (["commands", "urls"], True)
    row = ready.gets("connections set acme --no-include --no-block --anonymous skip")
    assert (row["include"], row["exclude"]) == ([], ["nudge_x"])
    assert (row["blocked_categories"], row["send_anonymous"]) == ([], False)
    listed = {"connections": [{**row, "paused": None, "put_aside": []}]}
    assert ready.gets("connections list") == listed


def test_tokens_are_never_printed(ready: Person) -> None:
    """Not when set, not when listed; and they can come from standard input."""
    token = "hush-0123456789abcdef"
    for line in (
        f"connections set acme --id-token {token}",
        "connections list",
        "connections list --json",
    ):
        done = ready.types(line)
        assert done.returncode == 0
        assert "hush" not in done.stdout + done.stderr
    assert ready.types("connections set globex --id-token -", stdin=f"{token}\n").returncode == 1
    other = ready.types("connections set globex --id-token -", stdin="another-token\n")
    assert other.returncode == 0


def test_mistakes_with_connections_are_told(ready: Person) -> None:
    """A missing region, a second claim, and nothing named at all."""
    assert "--region us" in ready.types("connections set acme --app-id 11").stderr
    ready.gets("connections set acme --app-id 11 --region us")
    claimed = ready.types("connections set globex --app-id 11 --region us")
    assert (claimed.returncode, "workspace acme" in claimed.stderr) == (1, True)
    assert ready.types("connections set acme").returncode == 2
    assert ready.types("connections set acme --include a --no-include").returncode == 2
    assert ready.types("connections set acme --send maybe").returncode == 2


def test_what_is_still_missing_is_said_when_setting(ready: Person) -> None:
    """Send without an app id, and an app id without Send."""
    assert "--app-id ID" in ready.types("connections set acme --send on").stderr
    connected = ready.types("connections set globex --app-id 2 --region us").stderr
    assert "connections set globex --send on" in connected
    assert ready.types("connections set globex --send on").stderr == ""


def test_removing_asks_first(ready: Person) -> None:
    """Where nobody can be asked, --yes is needed."""
    ready.gets("connections set acme --send on")
    refused = ready.types("connections remove acme")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert ready.gets("connections remove acme --yes") == {"workspace": "acme", "removed": True}
    assert ready.types("connections remove acme --yes").returncode == 1
    assert "No workspace is connected yet" in ready.types("connections list").stdout


def test_before_anything_is_made_the_next_command_is_named(person: Person) -> None:
    """Connections without topics or schemas."""
    assert "heapline topics apply" in person.types("connections list").stderr
    assert "heapline schemas register" in person.types("connections set a --send on").stderr


def test_doctor_finds_a_sound_world_sound(ready: Person) -> None:
    """Exit code 0 with a connection that sends; every check is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready.sets("HEAPLINE_WEB__PORT", str(server.getsockname()[1]))
    ready.sets("HEAPLINE_STATE__DIRECTORY", str(ready.folder))
    ready.gets("connections set acme --app-id 11 --region us --send on")
    results = ready.gets("doctor")["results"]
    assert {each["level"] for each in results} == {"ok"}
    checks = "settings kafka registry topics schemas connections heap connecting state web"
    assert [each["check"] for each in results] == checks.split()


def test_doctor_where_nothing_runs(tmp_path: Path) -> None:
    """Exit code 1, in seconds, and it says what to start."""
    nowhere = {
        "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "HEAPLINE_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1",
    }
    done = heapline("doctor", folder=tmp_path, settings=nowhere, timeout_seconds=20)
    assert (done.returncode, done.stderr) == (1, "")
    assert "heapline dev up" in done.stdout


def test_doctor_names_every_invalid_setting(tmp_path: Path) -> None:
    """Instead of everything that would follow from it."""
    wrong = {"HEAPLINE_WEB__PRT": "1", "HEAPLINE_NONSENSE": "1"}
    done = heapline("doctor", "--json", folder=tmp_path, settings=wrong)
    assert done.returncode == 1
    results = json.loads(done.stdout)["results"]
    assert {each["level"] for each in results} == {"fail"}
    assert len(results) == 2
