"""`heapline why` on the real broker: every answer, from what a real forwarder left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from devstack.heap_simulator.faults import Poison, Status
from heapline.clock import SystemClock
from heapline.heap.connection import Send
from heapline.words import Workspace
from operations.explanation import Verdict
from operations.why import Search, Wanted
from tests.command import heapline

if TYPE_CHECKING:
    from pathlib import Path

    from operations.explanation import Explanation
    from tests.forwarding.harness import Forwarding

pytestmark = pytest.mark.slow


def ask(there: Forwarding, event_id: str, workspace: str = "acme") -> list[Explanation]:
    """Ask why."""
    wanted = Wanted(event_id, Workspace(workspace))
    found = Search(there.settings, there.names, wanted, SystemClock()).found()
    return [each.explanation for each in found]


def verdict(there: Forwarding, event_id: str, workspace: str = "acme") -> tuple[Verdict, str]:
    """Ask why of an event published once."""
    (said,) = ask(there, event_id, workspace)
    return said.verdict, said.reason


def test_every_answer(forwarding: Forwarding, tmp_path: Path) -> None:
    """Delivered, skipped, dead-lettered, deferred, waiting, twice published, and not there."""
    there = forwarding
    there.connect("refused", "13")
    there.connect("held", "14", Send.HOLD)
    there.connect("off", "15", Send.OFF)
    there.heap.faults(Poison(idempotency_key="acme-3"), Status(status=401, app_id="13"))
    there.publish("acme", 10)
    there.publish_events([there.event("acme", 50, is_preview=True)])
    there.publish_events([there.event("acme", 51, user_id="u" * 256)])
    for workspace in ("refused", "held", "off", "stranger"):
        there.publish(workspace, 2)
    assert verdict(there, "acme-1") == (Verdict.WAITING, "no_forwarder")
    there.catch_up()
    assert verdict(there, "acme-1") == (Verdict.DELIVERED, "")
    assert verdict(there, "acme-50") == (Verdict.SKIPPED, "preview")
    assert verdict(there, "acme-3") == (Verdict.DEAD_LETTERED, "rejected_by_heap")
    assert verdict(there, "acme-51") == (Verdict.DEAD_LETTERED, "identity_too_long")
    assert verdict(there, "refused-0", "refused") == (Verdict.WAITING, "paused_unauthorized")
    assert verdict(there, "held-1", "held") == (Verdict.WAITING, "hold")
    assert verdict(there, "off-0", "off") == (Verdict.SKIPPED, "send_off")
    assert verdict(there, "stranger-0", "stranger") == (Verdict.SKIPPED, "not_connected")
    assert ask(there, "acme-1", "globex") == []
    there.publish("acme", 1)  # acme-0 once more
    assert [said.verdict for said in ask(there, "acme-0")] == [Verdict.DELIVERED, Verdict.WAITING]
    _the_command_says_so(there, tmp_path)


def _the_command_says_so(there: Forwarding, folder: Path) -> None:
    settings = {k: v for k, v in there.environment().items() if k.startswith("HEAPLINE_")}

    def why(*arguments: str) -> Any:  # noqa: ANN401 -- a finished process
        return heapline("why", *arguments, folder=folder, settings=settings)

    told = why("acme-3", "--workspace", "acme")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("dead-lettered (rejected_by_heap): ")
    assert "heapline dlq show" in told.stdout
    (record,) = json.loads(why("acme-3", "--workspace", "acme", "--json").stdout)["records"]
    assert record["verdict"] == "dead_lettered"
    nothing = why("no-such", "--workspace", "acme", "--since", "1h")
    assert nothing.returncode == 1
    assert "there is no event no-such" in nothing.stderr
    assert why("x").returncode == 2


def test_changed_settings_are_said_and_not_guessed(forwarding: Forwarding) -> None:
    """Skipped by the old settings, would be sent by the new: the counts decide, if they can."""
    there = forwarding
    there.connect("acme", "11", Send.OFF)
    there.publish("acme", 5)
    there.catch_up()
    there.connect("acme", "11", Send.ON, updated_at_ms=SystemClock().epoch_ms(), version=2)
    (said,) = ask(there, "acme-0")
    assert (said.verdict, said.reason) == (Verdict.SKIPPED, "send_off")
    assert "the settings changed at" in said.changed
    there.publish("acme", 5, first=100)
    there.catch_up()
    (unsure,) = ask(there, "acme-0")
    assert unsure.verdict is Verdict.UNCLEAR
    (sure,) = ask(there, "acme-100")
    assert sure.verdict is Verdict.DELIVERED
    assert not sure.changed
