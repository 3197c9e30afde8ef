from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer

from cli.main import MOUNTS, Mount, load_command, run
from heapline import __version__
from tests.command import COMMAND, clean_environment, heapline

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = {
    "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "HEAPLINE_KAFKA__TIMEOUT_SECONDS": "0.5",
    "HEAPLINE_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1",
}


def test_without_arguments_it_helps(tmp_path: Path) -> None:
    """Every command with its summary, and where to begin; exit code 0."""
    done = heapline(folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for mount in MOUNTS:
        assert mount.name in done.stdout
        assert mount.summary in done.stdout
    assert "heapline demo" in done.stdout
    assert done.stdout == heapline("--help", folder=tmp_path).stdout


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    """What makes commands slow to start is imported when one is called."""
    code = "import sys, cli.main; cli.main.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "cli.main" in loaded
    slow = {
        "pydantic",
        "confluent_kafka",
        "fastapi",
        "httpx",
        "structlog",
        "fastavro",
        "cli.forward",
    }
    assert not slow & loaded


@pytest.mark.parametrize("mount", MOUNTS, ids=lambda mount: mount.name)
def test_every_command_is_there_and_helps(mount: Mount, tmp_path: Path) -> None:
    """The module exists, and `--help` works even where the settings are not valid."""
    assert load_command(mount) is not None
    done = heapline(mount.name, "--help", folder=tmp_path, settings={"HEAPLINE_NONSENSE": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"heapline {mount.name}" in done.stdout


def test_version(tmp_path: Path) -> None:
    """One line."""
    assert heapline("--version", folder=tmp_path).stdout == f"heapline {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("tipics",), "Did you mean 'topics'?"),
        (("topics", "chekc"), "check"),
        (("topics", "apply", "--partitions", "many"), "--partitions"),
        (("topics", "apply", "--partitions", "0"), "--partitions"),
        (("connections", "set"), "WORKSPACE"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_usage_errors_say_what_is_wrong(
    arguments: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    """Exit code 2, on standard error."""
    done = heapline(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr


def test_invalid_settings_are_listed_one_a_line(tmp_path: Path) -> None:
    """Exit code 2, each with the variable's name."""
    wrong = {"HEAPLINE_WEB__PORT": "x", "HEAPLINE_KAFKA__TIMEOUT_SECONDS": "-1"}
    done = heapline("topics", "check", folder=tmp_path, settings=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "heapline: the settings are not valid:"
    assert {line.partition(":")[0] for line in lines[1:]} == wrong.keys()


def test_errors_are_one_message_and_no_traceback(tmp_path: Path) -> None:
    """Exit code 1; librdkafka does not chatter about it too."""
    done = heapline("topics", "check", folder=tmp_path, settings=NOWHERE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("heapline: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_debug_level_shows_where(tmp_path: Path) -> None:
    """A traceback, and the message still at the end."""
    settings = {**NOWHERE, "HEAPLINE_LOG__LEVEL": "debug"}
    done = heapline("schemas", "check", folder=tmp_path, settings=settings)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("heapline: ")


def failing_with(error: BaseException) -> typer.Typer:
    """Give a command that fails so."""
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        """Fail."""
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("oops"), 1, "ZeroDivisionError: oops"),
        (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_whatever_is_raised_becomes_words_and_a_code(
    error: BaseException,
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bugs too; nothing escapes."""
    assert run([], failing_with(error)) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """Exit code 130, and not a word, however long the answer would take."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {
            "HEAPLINE_SCHEMA_REGISTRY__URL": url,
            "HEAPLINE_SCHEMA_REGISTRY__TIMEOUT_SECONDS": "60",
        }
        process = subprocess.Popen(
            [*COMMAND, "schemas", "check"],
            cwd=tmp_path,
            env=clean_environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            silent.settimeout(30)
            asking, _ = silent.accept()
            with asking:
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=120) == (b"", b"")
    assert process.returncode == 128 + signal.SIGINT


def test_a_reader_that_goes_away_is_no_drama(tmp_path: Path) -> None:
    """`heapline config example | head -0` complains of nothing."""
    process = subprocess.Popen(
        [*COMMAND, "config", "example"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
