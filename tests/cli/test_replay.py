from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import typer
from confluent_kafka import TopicPartition
from typer.testing import CliRunner, Result

from cli.replay import replay
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.topics import CONNECTIONS, DEFERRED, EVENTS, FORWARDER_GROUP
from heapline.words import AppId, EventId, UserId, Workspace
from tests.on_kafka import (
    commit,
    encoder_for,
    environment_for,
    make_topics,
    read_all,
    settings_for,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.world import World
    from heapline.settings import Settings

    Run = Callable[..., Result]

ACME = Workspace("acme")
EVENT = Event(EventId("e"), ACME, "nudge_shown", UserId("jane"), 1000, 1000)


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Four settled events of acme: two to send, a preview, an anonymous one; Send is on."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    encoder = encoder_for(settings, names, EVENTS)
    events = [
        EVENT,
        replace(EVENT, name="tour_done"),
        replace(EVENT, is_preview=True),
        replace(EVENT, user_id=None),
    ]
    records = [{"key": "acme", "value": encoder.encode(each.to_record())} for each in events]
    write(settings, names.topic(EVENTS), records)
    commit(settings, names.group(FORWARDER_GROUP), TopicPartition(names.topic(EVENTS), 0, 4))
    set_send(settings, Send.ON)
    return settings


def set_send(settings: Settings, send: Send) -> None:
    """Write acme's connection."""
    names = make_topics(settings, 1)
    row = Connection(ACME, app_id=AppId("11"), region=Region.US, send=send).to_record()
    value = encoder_for(settings, names, CONNECTIONS).encode(row)
    write(settings, names.topic(CONNECTIONS), [{"key": "acme", "value": value}])


@pytest.fixture
def run(settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `heapline replay` with these arguments."""
    for name, value in environment_for(world, settings.kafka.prefix).items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    app.command()(replay)

    def invoke(*arguments: str, answer: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_dry_run_counts_by_name_and_by_what_the_gate_says(
    run: Run, settings: Settings, prefix: str
) -> None:
    """Nothing is written."""
    result = run("acme", "--since", "1h", "--dry-run", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "workspace": "acme",
        "eligible": {"nudge_shown": 1, "tour_done": 1},
        "skipped": {"preview": 1, "anonymous": 1},
        "undecodable": 0,
        "sent": 0,
    }
    text = run("acme", "--since", "1h", "--dry-run").stdout
    assert "2 events to send" in text
    assert "2 events the gate would skip now" in text
    assert read_all(settings, prefix + DEFERRED.name) == []


def test_replay_asks_first(run: Run, settings: Settings, prefix: str) -> None:
    """No writes nothing; yes writes what was counted."""
    assert run("acme", "--since", "1h", answer="n\n").exit_code == 1
    assert read_all(settings, prefix + DEFERRED.name) == []
    result = run("acme", "--since", "1h", answer="y\n")
    assert result.exit_code == 0
    assert "2 events written to the deferred topic" in result.stdout
    assert len(read_all(settings, prefix + DEFERRED.name)) == 2


def test_names_and_times_narrow(run: Run) -> None:
    """Globs over names; nothing was published in the future."""
    named = run("acme", "--since", "1h", "--name", "tour_*", "--yes", "--json")
    assert json.loads(named.stdout)["sent"] == 1
    early = run("acme", "--since", "2h", "--until", "1h", "--yes", "--json")
    assert json.loads(early.stdout)["sent"] == 0


def test_while_send_is_off_there_is_nothing_to_send(run: Run, settings: Settings) -> None:
    """It says which command would change that, and asks nothing."""
    set_send(settings, Send.OFF)
    result = run("acme", "--since", "1h")
    assert result.exit_code == 0
    assert "0 events to send" in result.stdout
    assert "4  send_off" in result.stdout
    assert "heapline connections set acme --send on" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("acme",),
        ("--since", "1h"),
        ("acme", "--since", "soon"),
        ("acme", "--since", "1h", "--json"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """Exit code 2: no time, no workspace, no such time, JSON with a question."""
    assert run(*arguments).exit_code == 2


def test_the_workspace_may_come_from_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every command."""
    monkeypatch.setenv("HEAPLINE_WORKSPACE", "acme")
    result = run("--since", "1h", "--dry-run", "--json")
    assert json.loads(result.stdout)["workspace"] == "acme"
