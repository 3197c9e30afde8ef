"""How a run ends: by SIGTERM, Ctrl-C, at the end of the topic; and the run that sends nothing."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from devstack.heap_simulator.faults import Hang, Latency
from heapline.heap.connection import Send
from tests.forwarding.harness import wait_until

if TYPE_CHECKING:
    from tests.forwarding.harness import Forwarding

pytestmark = pytest.mark.slow

FEW_AT_ONCE = {"HEAPLINE_LIMITS__EVENTS_PER_REQUEST": "20"}


def test_sigterm_in_a_backlog(forwarding: Forwarding) -> None:
    """What is in flight is finished and written down; the next run repeats nothing."""
    forwarding.heap.faults(Latency(ms=200, jitter_ms=200))
    ids = forwarding.publish("acme", 3_000)
    with forwarding.forwarder(**FEW_AT_ONCE) as process:
        wait_until(lambda: forwarding.heap.ledger().accepted >= 200)
        started = time.monotonic()
        forwarding.stop(process)
        assert time.monotonic() - started < 20
    first = forwarding.audit(["11"])
    first.check()
    assert first.waiting
    assert first.outcome("delivered") == len(first.in_heap)
    forwarding.heap.clear_faults()
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids
    assert audit.duplicates == 0


def test_sigterm_while_one_app_never_answers(forwarding: Forwarding) -> None:
    """The stop keeps its deadline, and what other apps took is written down in time."""
    there = forwarding
    there.connect("globex", "12")
    there.heap.faults(Hang(app_id="12"))
    patient = {
        "HEAPLINE_HEAP__TIMEOUT_SECONDS": "60",
        "HEAPLINE_FORWARDER__SHUTDOWN_SECONDS": "3",
        "HEAPLINE_FORWARDER__CHECKPOINT_INTERVAL_SECONDS": "60",
    }
    ids, hanging = there.publish("acme", 300), there.publish("globex", 50)
    with there.forwarder(**patient) as process:
        wait_until(lambda: set(there.heap.keys("11")) == ids)
        wait_until(lambda: "12" in there.heap.ledger().apps)
        started = time.monotonic()
        there.stop(process)
        assert time.monotonic() - started < 30
    there.heap.clear_faults()
    there.catch_up()
    audit = there.audit(["11", "12"])
    audit.check()
    assert set(audit.in_heap) == ids | hanging
    assert audit.duplicates == 0


def test_ctrl_c_twice(forwarding: Forwarding) -> None:
    """The first asks for an end in good order, the second ends at once."""
    forwarding.heap.faults(Hang())
    ids = forwarding.publish("acme", 10)
    with forwarding.forwarder(HEAPLINE_HEAP__TIMEOUT_SECONDS="60") as process:
        wait_until(lambda: forwarding.heap.ledger().requests > 0)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None, "it waits for the answer"
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(120) == 128 + signal.SIGINT
        assert time.monotonic() - started < 15
    assert "Traceback" not in forwarding.logs[-1]
    forwarding.heap.clear_faults()
    forwarding.catch_up()
    audit = forwarding.audit(["11"])
    audit.check()
    assert set(audit.in_heap) == ids


def _publish_a_bit_of_everything(there: Forwarding) -> None:
    there.connect("off", "12", Send.OFF)
    there.connect("later", "13", Send.HOLD)
    there.publish("acme", 30)
    there.publish("off", 7)
    there.publish("later", 5)
    there.publish("stranger", 3)
    there.publish_events(
        [
            there.event("acme", 100, user_id=None),
            there.event("acme", 101, is_preview=True),
            there.event("acme", 102, user_id="u" * 256),
        ]
    )
    there.publish_raw([(b"acme", b"garbage")])


def test_until_caught_up_tells_what_became_of_all(forwarding: Forwarding) -> None:
    """The summary, as JSON and for people, has exact numbers and says how to change them."""
    _publish_a_bit_of_everything(forwarding)
    summary = forwarding.catch_up()
    told = {(x["workspace"], x["outcome"], x["reason"]): x["events"] for x in summary["outcomes"]}
    assert told == {
        ("acme", "delivered", ""): 30,
        ("acme", "skipped", "anonymous"): 1,
        ("acme", "skipped", "preview"): 1,
        ("acme", "dead_lettered", "identity_too_long"): 1,
        ("acme", "dead_lettered", "undecodable"): 1,
        ("off", "skipped", "send_off"): 7,
        ("later", "deferred", "hold"): 5,
        ("stranger", "skipped", "not_connected"): 3,
    }
    assert summary["requests"] == {"delivered": 1}
    advice = {(x["workspace"], x["reason"]): x["to_change_it"] or "" for x in summary["outcomes"]}
    assert "connections set off --send on" in advice["off", "send_off"]
    assert "connections set later --send on" in advice["later", "hold"]
    assert "connections set stranger --app-id" in advice["stranger", "not_connected"]
    assert "dlq list --workspace acme" in advice["acme", "undecodable"]
    assert advice["acme", "preview"] == ""


def test_the_summary_for_people(forwarding: Forwarding) -> None:
    """The same as a table, with the commands to run below it."""
    _publish_a_bit_of_everything(forwarding)
    with forwarding.forwarder("--until-caught-up") as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["acme", "delivered", "30"] in lines
    assert ["off", "skipped", "send_off", "7"] in lines
    assert any(line[:2] == ["49", "events"] for line in lines)
    assert "heapline connections set off --send on" in out
    assert out.count("heapline dlq list --workspace acme") == 2
    with forwarding.forwarder("--until-caught-up") as process:
        out, _ = process.communicate(timeout=120)
    assert out == "no events were settled\n"


def test_a_dry_run_sends_nothing_and_counts_right(forwarding: Forwarding) -> None:
    """It tells what a run would do, and leaves everything to that run."""
    _publish_a_bit_of_everything(forwarding)
    with forwarding.forwarder("--dry-run", "--show", "2", "--json") as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    forecast: dict[str, Any] = json.loads(out)
    assert {name: share["would_send"] for name, share in forecast["workspaces"].items()} == {
        "": 0,
        "acme": 30,
        "later": 0,
        "off": 0,
        "stranger": 0,
    }
    refused = {name: share["would_not_send"] for name, share in forecast["workspaces"].items()}
    assert refused == {
        "": {"undecodable": 1},
        "acme": {"anonymous": 1, "preview": 1, "identity_too_long": 1},
        "later": {"hold": 5},
        "off": {"send_off": 7},
        "stranger": {"not_connected": 3},
    }
    examples = [json.loads(example) for example in forecast["examples"]]
    assert [example["event"] for example in examples] == ["nudge_shown"] * 2
    assert forwarding.heap.ledger().requests == 0
    assert not forwarding.committed(forwarding.topic)
    audit = forwarding.audit(["11", "12", "13"])
    assert not audit.counts
    assert not audit.dead_letters
    summary = forwarding.catch_up()
    assert sum(line["events"] for line in summary["outcomes"]) == 49
