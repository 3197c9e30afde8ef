from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from cli.dlq import app
from heapline.events.model import Event
from heapline.kafka.headers import DeadLetter, Origin
from heapline.kafka.topics import DEFERRED, DLQ, EVENTS
from heapline.outcomes import DeadLetterReason
from heapline.words import EventId, UserId, Workspace
from tests.on_kafka import (
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

EVENT = Event(
    EventId("e1"), Workspace("acme"), "nudge_shown", UserId("jane@example.org"), 1000, 1000
)
LETTER = DeadLetter(
    Origin("commandai.events", 0, 7),
    DeadLetterReason.REJECTED_BY_HEAP,
    "acme",
    event_id="e1",
    error="Heap answered 400",
    status=400,
)


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """A DLQ of one partition: 0 refused by Heap, 1 undecodable, 2 of a workspace with odd name."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, 1)
    value = encoder_for(settings, names, EVENTS).encode(EVENT.to_record())
    undecodable = replace(LETTER, reason=DeadLetterReason.UNDECODABLE, status=None)
    odd = replace(LETTER, workspace="ev\x1b[31mil", reason=DeadLetterReason.EXPIRED)
    write(
        settings,
        names.topic(DLQ),
        [
            {"value": value, "key": "acme", "headers": LETTER.headers()},
            {"value": b"\x01gar\x1bbage" * 99, "key": "acme", "headers": undecodable.headers()},
            {"value": value, "key": "evil", "headers": odd.headers()},
        ],
    )
    return settings


@pytest.fixture
def run(settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `heapline dlq` with these arguments."""
    for name, value in environment_for(world, settings.kafka.prefix).items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str, answer: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_list_shows_reasons_and_no_personal_data(run: Run) -> None:
    """One line a record, a summary, nothing of its content, and no control characters."""
    result = run("list")
    assert result.exit_code == 0
    assert "0/0" in result.stdout
    assert "Heap answered 400" in result.stdout
    assert "3 records: 1 rejected_by_heap, 1 undecodable, 1 expired" in result.stdout
    assert "jane" not in result.stdout
    assert "\x1b" not in result.stdout


def test_list_filters_and_limits(run: Run) -> None:
    """Each option narrows; the total tells of what is not shown."""
    found = json.loads(run("list", "--json", "--workspace", "acme", "--limit", "1").stdout)
    assert found["total"] == 2
    assert found["by_reason"] == {"rejected_by_heap": 1, "undecodable": 1}
    assert [each["position"] for each in found["records"]] == ["0/1"]
    assert json.loads(run("list", "--json", "--reason", "expired").stdout)["total"] == 1
    assert json.loads(run("list", "--json", "--since", "1h").stdout)["total"] == 3
    assert json.loads(run("list", "--json", "--until", "1h").stdout)["total"] == 0
    assert "nothing here" in run("list", "--until", "1h").stdout


def test_the_workspace_may_come_from_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every command."""
    monkeypatch.setenv("HEAPLINE_WORKSPACE", "acme")
    assert json.loads(run("list", "--json").stdout)["total"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--since", "yesterday"),
        ("list", "--reason", "whatever"),
        ("show", "here"),
        ("replay", "0-1"),
        ("replay", "--json"),
    ],
)
def test_wrong_usage_is_told_before_anything_happens(run: Run, arguments: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert run(*arguments).exit_code == 2


def test_show_gives_the_event(run: Run) -> None:
    """Here, and only here, content is printed."""
    result = run("show", "0/0")
    assert result.exit_code == 0
    assert "jane@example.org" in result.stdout
    assert "heapline-reason: rejected_by_heap" in result.stdout
    found = json.loads(run("show", "0/0", "--json").stdout)
    assert found["event"]["name"] == "nudge_shown"
    assert found["not_decoded_because"] is None
    assert base64.b64decode(found["key_base64"]) == b"acme"


def test_show_gives_bytes_where_there_is_no_event(run: Run) -> None:
    """Why it does not decode, and the first bytes as hex and text, with no control characters."""
    result = run("show", "0/1")
    assert result.exit_code == 0
    assert "wrong magic byte 0x01" in result.stdout
    assert "01 67 61 72 1b" in result.stdout
    assert ".gar.bage" in result.stdout
    assert "\x1b" not in result.stdout
    found = json.loads(run("show", "0/1", "--json").stdout)
    assert found["event"] is None
    assert base64.b64decode(found["value_base64"]) == b"\x01gar\x1bbage" * 99


def test_replay_sends_what_may_succeed_and_sets_the_rest_aside(
    run: Run, settings: Settings, prefix: str
) -> None:
    """Exit code 3 and the reason; what was sent is no longer listed, and is sent only once."""
    result = run("replay", "--yes")
    assert result.exit_code == 3
    assert "1 undecodable: left out" in result.stderr
    assert "2 records written to the deferred topic" in result.stdout
    assert len(read_all(settings, prefix + DEFERRED.name)) == 2
    assert json.loads(run("list", "--json").stdout)["total"] == 1
    everything = json.loads(run("list", "--json", "--all").stdout)["records"]
    assert [each["replayed"] for each in everything] == [True, False, True]
    again = run("replay", "0/0", "--yes", "--json")
    assert again.exit_code == 3
    assert json.loads(again.stdout) == {
        "eligible": 0,
        "sent": 0,
        "set_aside": {},
        "gone": ["0/0"],
    }


def test_replay_dry_run_writes_nothing(run: Run, settings: Settings, prefix: str) -> None:
    """It says what would be sent, by workspace and reason."""
    result = run("replay", "0/0", "--dry-run")
    assert result.exit_code == 0
    assert "1 of acme: rejected_by_heap" in result.stderr
    assert "1 records would be sent again" in result.stdout
    assert read_all(settings, prefix + DEFERRED.name) == []


def test_replay_asks_first(run: Run, settings: Settings, prefix: str) -> None:
    """No means no, and so does silence; yes sends."""
    for answer in ("n\n", ""):
        assert run("replay", "0/0", answer=answer).exit_code == 1
        assert read_all(settings, prefix + DEFERRED.name) == []
    assert run("replay", "0/0", answer="y\n").exit_code == 0
    assert len(read_all(settings, prefix + DEFERRED.name)) == 1


def test_replay_force_sends_the_undecodable_too(run: Run, settings: Settings, prefix: str) -> None:
    """The operator knows better, for example after an upgrade."""
    result = run("replay", "--yes", "--force", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["sent"] == 3
    assert len(read_all(settings, prefix + DEFERRED.name)) == 3
