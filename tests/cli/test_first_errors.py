"""What goes wrong first for somebody new, tried one by one: each says what to do."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest

from tests.command import heapline
from tests.fakes.http_server import answering, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOBODY: Final = {
    "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "HEAPLINE_KAFKA__TIMEOUT_SECONDS": "1",
    "HEAPLINE_SCHEMA_REGISTRY__URL": "http://127.0.0.1:9",
    "HEAPLINE_SCHEMA_REGISTRY__TIMEOUT_SECONDS": "1",
}
"""A machine on which neither Kafka nor a registry runs."""
_NO_KAFKA: Final = ("no Kafka answers", "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS", "heapline dev up")
_NO_REGISTRY: Final = ("http://127.0.0.1:9 does not answer", "HEAPLINE_SCHEMA_REGISTRY__URL")
_NO_INDEX: Final = ("no membership index", "heapline materialize", "HEAPLINE_STATE__DIRECTORY")
_CASES: Final = {
    "no Kafka: topics": ("topics apply", {}, 1, _NO_KAFKA),
    "no Kafka: connections": ("connections list", {}, 1, ("HEAPLINE_",)),
    "no Kafka: forward": ("forward --until-caught-up", {}, 1, _NO_KAFKA),
    "no Kafka: materialize": ("materialize --until-caught-up", {}, 1, _NO_KAFKA),
    "no registry": ("schemas register", {}, 1, _NO_REGISTRY),
    "no Kafka: doctor": ("doctor", {}, 1, ("fail     kafka", "heapline dev up")),
    "brokers as a URL": (
        "topics apply",
        {"HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": "http://kafka:9092"},
        2,
        ("HEAPLINE_KAFKA__BOOTSTRAP_SERVERS: 'http://kafka:9092'", "host:port"),
    ),
    "a URL without http": (
        "schemas register",
        {"HEAPLINE_SCHEMA_REGISTRY__URL": "localhost:8081"},
        2,
        ("HEAPLINE_SCHEMA_REGISTRY__URL: 'localhost:8081'", "http://host:port"),
    ),
    "a setting misspelt": (
        "topics apply",
        {"HEAPLINE_KAFKA__BOOTSTRAP_SERVER": "kafka:9092"},
        2,
        ("did you mean HEAPLINE_KAFKA__BOOTSTRAP_SERVERS?",),
    ),
    "no webhook secret": (
        "serve --only webhook --port 0",
        {},
        2,
        ("HEAPLINE_HEAP__WEBHOOK_SECRETS", "Developers Hub"),
    ),
    "no client secret": (
        "connections invite acme",
        {},
        2,
        ("HEAPLINE_HEAP__CLIENT_SECRET", "HEAPLINE_WEB__PUBLIC_URL", "for example https://"),
    ),
    "no token beyond loopback": (
        "serve --host 0.0.0.0 --port 0",
        {},
        2,
        ("HEAPLINE_WEB__API_TOKENS", "for example"),
    ),
    "no index": ("lookup u-1 --workspace acme", {}, 1, _NO_INDEX),
    "no index: segments": ("segments", {}, 1, _NO_INDEX),
    "no copy for analysts": ("sql 'FROM about'", {}, 1, ("heapline materialize",)),
    "no world": ("dev env", {}, 1, ("heapline dev up",)),
    "no command": ("forwrad", {}, 2, ("No such command", "--help")),
}


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Settings of a machine on which nothing of heapline was ever started."""
    return {
        **_NOBODY,
        "HEAPLINE_STATE__DIRECTORY": str(tmp_path / "state"),
        "HEAPLINE_DEV__DATA": str(tmp_path / "dev"),
    }


@pytest.fixture
def taken_port() -> Iterator[str]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def _said(told: str) -> str:
    return " ".join(told.split())


@pytest.mark.parametrize("case", _CASES)
def test_it_says_what_to_do(case: str, machine: dict[str, str], tmp_path: Path) -> None:
    """In a few lines, with the setting or the command by name, and no traceback."""
    line, settings, code, wanted = _CASES[case]
    arguments = ["sql", "FROM about"] if line.startswith("sql") else line.split()
    done = heapline(*arguments, folder=tmp_path, settings={**machine, **settings})
    told = _said(done.stderr + done.stdout)
    for each in wanted:
        assert _said(each) in told
    assert done.returncode == code
    assert "Traceback" not in told
    assert "should not have happened" not in told


@pytest.mark.parametrize("command", ["serve", "run"])
def test_a_port_that_is_taken(
    command: str, machine: dict[str, str], taken_port: str, tmp_path: Path
) -> None:
    """The port is named, and how to choose another."""
    settings = {**machine, "HEAPLINE_WEB__PORT": taken_port}
    done = heapline(command, folder=tmp_path, settings=settings)
    assert done.returncode == 2
    assert f"127.0.0.1:{taken_port} is taken" in done.stderr
    assert "HEAPLINE_WEB__PORT" in done.stderr


def test_a_web_server_that_is_no_registry(machine: dict[str, str], tmp_path: Path) -> None:
    """Its page is not poured onto the terminal."""
    with serving(answering("501 Not Implemented", b"<html>" + b"long " * 200)) as server:
        settings = {**machine, "HEAPLINE_SCHEMA_REGISTRY__URL": server.url}
        done = heapline("schemas", "check", folder=tmp_path, settings=settings)
    assert done.returncode == 1
    assert "does not answer as a schema registry does (HTTP 501)" in done.stderr
    assert "<html>" not in done.stderr


def test_without_arguments_it_helps(tmp_path: Path) -> None:
    """With every command, and the first one to try."""
    done = heapline(folder=tmp_path)
    assert done.returncode == 0
    assert "heapline demo" in done.stdout
    assert "both ways" in _said(done.stdout)


def test_a_broker_that_is_away_does_not_fill_the_screen(
    machine: dict[str, str], tmp_path: Path
) -> None:
    """The client library tells of hundreds of attempts; a person needs one."""
    done = heapline("materialize", "--until-caught-up", folder=tmp_path, settings=machine)
    assert len(done.stderr.splitlines()) < 10
