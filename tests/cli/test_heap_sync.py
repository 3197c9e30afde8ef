"""`heapline dev heap-sync` against a running simulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.dev import app
from cli.heap_sync import seconds_of
from devstack.heap_simulator import SimulatorClient, running_simulator
from tests.fakes.http_server import ScriptedServer, answering, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def webhook() -> Iterator[ScriptedServer]:
    """A partner that takes everything."""
    with serving(answering("200 OK")) as server:
        yield server


@pytest.fixture
def heap(
    webhook: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimulatorClient]:
    """A simulator that the settings name, in a place where no world runs."""
    monkeypatch.chdir(tmp_path)
    with running_simulator() as simulator:
        monkeypatch.setenv("HEAPLINE_HEAP__API_URL", simulator.url)
        monkeypatch.setenv("HEAPLINE_DEV__DATA", str(tmp_path))
        simulator.change_partner_app(webhook_url=webhook.url)
        yield simulator


def heap_sync(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["heap-sync", *arguments])


def test_once(heap: SimulatorClient, webhook: ScriptedServer) -> None:
    """Made, filled, turned on and sent, in one command."""
    heap.grant("11")
    told = heap_sync("7", "--once", "--users", "5", "--page-size", "2", "--name", "Free")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("segment 7: 3 of 3 pages taken")
    names = {json.loads(each.body)["data"]["segment"]["name"] for each in webhook.received}
    assert names == {"Free"}
    assert heap.segment("11", "7")["every_seconds"] is None
    again = heap_sync("7", "--users", "5", "--first-user", "1", "--json")
    assert json.loads(again.stdout)["delivered"] == 1
    data = json.loads(webhook.received[-1].body)["data"]
    assert (data["add"], data["remove"]) == ([{"id": "user-5"}], [{"id": "user-0"}])


def test_every(heap: SimulatorClient, webhook: ScriptedServer) -> None:
    """Once now, and then as often as said until it is stopped."""
    heap.grant("11")
    assert heap_sync("7", "--every", "4h").exit_code == 0
    assert len(webhook.received) == 1
    assert heap.segment("11", "7")["every_seconds"] == 14_400
    assert heap_sync("7", "--stop").exit_code == 0
    assert not heap.segment("11", "7")["enabled"]
    assert len(webhook.received) == 1


def test_kept_back_and_drained(
    heap: SimulatorClient, webhook: ScriptedServer, tmp_path: Path
) -> None:
    """Late pages and drains."""
    heap.grant("11")
    users = tmp_path / "users"
    users.write_text("ann\n\nbob\n", encoding="utf-8")
    heap_sync("7", "--users-file", str(users), "--page-size", "1", "--hold", "1")
    heap_sync("7", "--late")
    heap_sync("7", "--drain")
    assert b'"bob"' in webhook.received[0].body
    assert b'"ann"' in webhook.received[1].body
    assert b"segment.users.drain" in webhook.received[2].body


def test_what_to_do_where_nothing_was_allowed(heap: SimulatorClient) -> None:
    """The command to run, or the option to give."""
    assert "connections invite" in str(heap_sync("7").exception)
    heap.grant("11")
    heap.grant("12")
    assert "say which --environment; allowed are 11, 12" in str(heap_sync("7").exception)
    assert heap_sync("7", "--environment", "12").exit_code == 0


def test_options_that_exclude_one_another(heap: SimulatorClient) -> None:
    """A usage error."""
    heap.grant("11")
    assert heap_sync("7", "--once", "--drain").exit_code == 2
    assert heap_sync("7", "--every", "often").exit_code == 2


def test_no_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEAPLINE_HEAP__API_URL", raising=False)
    monkeypatch.setenv("HEAPLINE_DEV__DATA", str(tmp_path))
    assert "heapline dev up" in str(heap_sync("7").exception)


@pytest.mark.parametrize(("text", "seconds"), [("4h", 14_400), ("1.5s", 1.5), (" 2M ", 120)])
def test_durations(text: str, seconds: float) -> None:
    """A number and a unit."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "0s", "-4h", "4 hours"])
def test_what_is_no_duration(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(typer.BadParameter):
        seconds_of(text)
