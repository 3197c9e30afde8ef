"""The command `heapline publish`."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.publish import Interruption, Rejects, exit_code, publish
from heapline.errors import InvalidEvent, KafkaUnavailable, NotReady
from heapline.kafka.topics import EVENTS, Names
from producers.ndjson import Line, Report, read_lines
from tests.on_kafka import environment_for, make_topics, read_all, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World

GOOD = '{"name":"opened","user_id":"u","timestamp":1772357400125}\n'
NAMELESS = '{"workspace":"acme"}\n'
RUN = "import typer, cli.publish; typer.run(cli.publish.publish)"
app = typer.Typer()
app.command()(publish)


def run(*arguments: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, list(arguments), env=env, input=stdin)


@pytest.fixture
def prepared(world: World, prefix: str) -> dict[str, str]:
    """Give the environment of a world with topics and schemas."""
    make_topics(settings_for(world, prefix))
    return environment_for(world, prefix)


def test_all_good(prepared: dict[str, str], tmp_path: Path) -> None:
    """Exit code 0, the count on standard output, and no rejects file."""
    (tmp_path / "events.ndjson").write_text(GOOD * 3, encoding="utf-8")
    result = run(str(tmp_path / "events.ndjson"), "--workspace", "acme", env=prepared)
    assert (result.exit_code, result.stdout) == (0, "3 events published\n")
    assert [path.name for path in tmp_path.iterdir()] == ["events.ndjson"]


def test_some_put_aside(prepared: dict[str, str], tmp_path: Path) -> None:
    """Exit code 3; the lines are named and kept byte for byte; a second run keeps the first's."""
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\xff bad\r\n" + GOOD.encode() + b'{"name":""}')
    result = run(str(file), "--workspace", "acme", env=prepared)
    assert (result.exit_code, result.stdout) == (3, "1 events published\n")
    assert "line 1: byte 1 is not UTF-8" in result.stderr
    assert "line 3: no name" in result.stderr
    assert (tmp_path / "events.ndjson.rejects").read_bytes() == b'\xff bad\r\n{"name":""}\n'
    run(str(file), "--workspace", "acme", env=prepared)
    assert (tmp_path / "events.ndjson.rejects.2").is_file()


def test_json_report(prepared: dict[str, str], tmp_path: Path) -> None:
    """--json prints one object that says all; --rejects names the file."""
    aside = tmp_path / "aside"
    result = run("-", "--json", "--rejects", str(aside), env=prepared, stdin=NAMELESS + GOOD)
    report = json.loads(result.stdout)
    assert result.exit_code == 3
    assert report["published"] == 0
    assert report["rejected"] == {"name_missing": 1, "workspace_missing": 1}
    assert [each["line"] for each in report["rejections"]] == [1, 2]
    assert report["rejects_file"] == str(aside)
    assert aside.read_text(encoding="utf-8") == NAMELESS + GOOD


def test_the_workspace_of_the_settings(prepared: dict[str, str], tmp_path: Path) -> None:
    """HEAPLINE_WORKSPACE stands in for --workspace."""
    file = tmp_path / "events.ndjson"
    file.write_text(GOOD, encoding="utf-8")
    assert run(str(file), env=prepared | {"HEAPLINE_WORKSPACE": "acme"}).exit_code == 0


def test_nothing_prepared(world: World, prefix: str, tmp_path: Path) -> None:
    """Without topics it fails with the command that makes them."""
    file = tmp_path / "events.ndjson"
    file.write_text(GOOD, encoding="utf-8")
    result = run(str(file), env=environment_for(world, prefix))
    assert isinstance(result.exception, NotReady)
    assert "heapline topics apply" in str(result.exception)


def test_usage(tmp_path: Path) -> None:
    """No such file, a folder, or rejects over the events: exit code 2, and nothing is touched."""
    file = tmp_path / "events.ndjson"
    file.write_text(GOOD, encoding="utf-8")
    assert run(str(tmp_path / "none")).exit_code == 2
    assert run(str(tmp_path)).exit_code == 2
    assert run(str(file), "--rejects", str(file)).exit_code == 2
    assert run().exit_code == 2
    assert file.read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (Report(), 0),
        (Report(acknowledged=3), 0),
        (Report(stopped=True), 130),
        (Report(stopped=True, given_up=1), 1),
        (Report(given_up=1), 1),
        (Report(failure=KafkaUnavailable("x")), 1),
    ],
)
def test_exit_codes(report: Report, code: int) -> None:
    """Lines put aside are 3 only where nothing worse happened."""
    assert exit_code(report) == code
    report.rejected["not_json"] += 1
    assert exit_code(report) == (3 if code == 0 else code)


def test_rejects_keep_long_lines_whole(tmp_path: Path) -> None:
    """Also those that were never in memory as a whole."""
    rejects = Rejects(tmp_path / "aside")
    stream = io.BytesIO(b"x" * 95 + b"\n" + b"y" * 20)
    with rejects:
        for line in read_lines(stream, longest_bytes=10):
            rejects.put(line, InvalidEvent("too_large", "too large"))
    assert (tmp_path / "aside").read_bytes() == b"x" * 95 + b"\n" + b"y" * 20 + b"\n"


def test_interruption_between_lines() -> None:
    """The first Ctrl-C while working is only noted; the second is not held back."""
    with Interruption() as stop:
        assert not stop.is_asked()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_interruption_while_reading() -> None:
    """Ctrl-C while waiting for a line ends the waiting."""

    def lines() -> Iterator[Line]:
        yield Line(1, GOOD.encode(), iter(()))
        signal.raise_signal(signal.SIGINT)

    with Interruption() as stop:
        guarded = stop.guarded(lines())
        assert next(guarded).number == 1
        with pytest.raises(KeyboardInterrupt):
            next(guarded)


def test_ctrl_c(prepared: dict[str, str], world: World, prefix: str) -> None:
    """What was accepted is delivered, and the last line is named."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "-", "--json"],
        env=os.environ | prepared | {"HEAPLINE_WORKSPACE": "acme"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(GOOD.encode() * 5)
    process.stdin.flush()
    settings = settings_for(world, prefix)
    deadline = time.monotonic() + 60
    while len(read_all(settings, Names(prefix).topic(EVENTS))) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    report = json.loads(out)
    assert (report["published"], report["last_line"], report["stopped"]) == (5, 5, True)
    assert b"stopped after line 5" in err
    assert b"Traceback" not in err
