"""`heapline status` beside real forwarders: what it says is what is the case."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from devstack.heap_simulator.faults import Hang, Status
from heapline.heap.connection import Send
from heapline.kafka import topics
from operations.status import Observer
from tests.command import heapline
from tests.forwarding.harness import wait_until
from tests.on_kafka import read_all

if TYPE_CHECKING:
    from pathlib import Path

    from operations.status import Status as Look
    from tests.forwarding.harness import Forwarding

pytestmark = pytest.mark.slow


def look(there: Forwarding, most: int = 100_000) -> Look:
    """Look once."""
    with Observer(there.settings, there.names, most) as observer:
        return observer.look()


def test_without_a_forwarder_the_topics_tell(forwarding: Forwarding) -> None:
    """By workspace, from the keys alone; nothing moves, so no time is given."""
    there = forwarding
    there.connect("off", "12", Send.OFF)
    there.publish("acme", 40)
    there.publish("off", 30)
    there.publish("stranger", 20)
    found = look(there)
    assert found.forwarders == []
    assert found.unowned == [0, 1, 2]
    assert found.events_lag == 90
    told = {w.workspace: (w.state, w.waiting, w.drain_seconds) for w in found.workspaces}
    assert told == {
        "acme": ("open", 40, None),
        "off": ("send_off", 30, None),
        "stranger": ("not_connected", 20, None),
    }
    assert found.complete
    least = look(there, most=25)
    assert not least.complete
    assert sum(w.waiting for w in least.workspaces) == 25


def test_a_running_forwarder_tells_what_only_it_knows(
    forwarding: Forwarding, tmp_path: Path
) -> None:
    """Pauses with their reason, the record that blocks a checkpoint, and, once gone, nothing."""
    there = forwarding
    there.connect_all({"dead": "13", "slow": "14"})
    there.connect("held", "15", Send.HOLD)
    there.heap.faults(Status(status=401, app_id="13"), Hang(app_id="14"))
    for workspace in ("acme", "dead", "slow", "held"):
        there.publish(workspace, 25)
    changes = {"HEAPLINE_HEAP__TIMEOUT_SECONDS": "60", "HEAPLINE_INSTANCE_ID": "observed"}

    def told() -> dict[str, tuple[str, str, int, int]]:
        found = look(there)
        return {w.workspace: (w.state, w.reason, w.waiting, w.deferred) for w in found.workspaces}

    with there.forwarder(**changes, HEAPLINE_FORWARDER__SHUTDOWN_SECONDS="2") as process:
        expected = {
            "dead": ("paused", "unauthorized", 0, 25),
            "held": ("hold", "", 0, 25),
            "slow": ("open", "", 25, 0),
        }
        wait_until(lambda: told() == expected, what="for the forwarder to tell of its trouble")
        found = look(there)
        assert [each.instance_id for each in found.forwarders] == ["observed"]
        assert found.unowned == []
        blocker = next(
            b.blocker for b in found.blocked if b.partition.startswith(f"{there.topic}[")
        )
        assert (blocker.workspace, blocker.offset) == ("slow", _first_of(there, "slow"))
        assert "in a request to Heap" in blocker.why
        printed = _json(there, tmp_path)
        assert printed["workspaces"][0]["reason"] == "unauthorized"
        shown = heapline("status", folder=tmp_path, settings=_settings(there))
        assert "paused (unauthorized)" in shown.stdout
        assert "1 forwarder running" in shown.stdout
        there.stop(process)
    assert look(there).forwarders == []


def _first_of(there: Forwarding, workspace: str) -> int:
    key = workspace.encode()
    records = read_all(there.settings, there.topic)
    return min(m.offset() or 0 for m in records if m.key() == key)


def _settings(there: Forwarding) -> dict[str, str]:
    return {k: v for k, v in there.environment().items() if k.startswith("HEAPLINE_")}


def _json(there: Forwarding, folder: Path) -> dict[str, Any]:
    done = heapline("status", "--json", folder=folder, settings=_settings(there))
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_killed_forwarder_falls_silent_and_then_is_told_so(forwarding: Forwarding) -> None:
    """Its last words stay in the topic; their age tells."""
    there = forwarding
    there.publish("acme", 10)
    with there.forwarder(HEAPLINE_INSTANCE_ID="victim") as process:
        wait_until(lambda: [f.instance_id for f in look(there).forwarders] == ["victim"])
        process.kill()
    wait_until(
        lambda: [f.instance_id for f in look(there).silent] == ["victim"], what="for its silence"
    )
    assert look(there).forwarders == []
    assert there.names.topic(topics.FORWARDER_STATUS).endswith("heapline.forwarder-status")
