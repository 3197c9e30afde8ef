"""`heapline dev heap-allow` says what stood in its way; that it works, the documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.dev import app
from devstack.browser import allow
from devstack.heap_simulator import SimulatorClient, running_simulator
from heapline.errors import CallerMistake
from tests.fakes.http_server import answering, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World


@pytest.fixture
def heap() -> Iterator[SimulatorClient]:
    """A simulator."""
    with running_simulator() as simulator:
        yield simulator


def test_a_page_that_refuses_is_quoted(heap: SimulatorClient) -> None:
    """With its headline and status."""
    page = answering("410 Gone", b"<h1>This link is not open &amp; never was</h1>")
    with serving(page) as server, pytest.raises(CallerMistake, match=r"410\).* open & never was"):
        allow(f"{server.url}/heap/connect?invitation=x", heap)


def test_nobody_there_is_told_without_the_secret(heap: SimulatorClient) -> None:
    """The link's secret is not repeated."""
    with pytest.raises(CallerMistake, match="HEAPLINE_WEB__PUBLIC_URL") as told:
        allow("http://127.0.0.1:1/heap/connect?invitation=secret", heap)
    assert "secret" not in str(told.value)


def test_without_a_simulator_it_says_what_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its neighbours do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEAPLINE_HEAP__API_URL", raising=False)
    told = CliRunner().invoke(app, ["heap-allow", "http://127.0.0.1:1/", "--data", str(tmp_path)])
    assert isinstance(told.exception, CallerMistake)
    assert "heapline dev up" in str(told.exception)


def test_env_follows_the_port(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who serves on another port is found there by the simulated Heap."""

    def public_url() -> str:
        told = CliRunner().invoke(app, ["env", "--data", str(world.data_folder)]).stdout
        (line,) = [each for each in told.splitlines() if "PUBLIC_URL" in each]
        return line.partition("=")[2]

    monkeypatch.setenv("HEAPLINE_WEB__PORT", "8099")
    assert public_url() == "http://127.0.0.1:8099"
    monkeypatch.delenv("HEAPLINE_WEB__PORT")
    assert public_url() == "http://127.0.0.1:8080"
