"""Segments over HTTP, to a partner's webhook."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import SimulatorClient, SyncOptions, running_simulator
from devstack.heap_simulator.segment_sender import heap_hash
from heapline.errors import CallerMistake
from tests.devstack.heap_simulator.conftest import HandClock
from tests.fakes.http_server import RESET_AFTER_READING, ScriptedServer, answering, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = answering("200 OK", heapline_position="p1")


@pytest.fixture
def webhook() -> Iterator[ScriptedServer]:
    """A partner that takes everything."""
    with serving(OK) as server:
        yield server


@pytest.fixture
def ready(simulator: SimulatorClient, webhook: ScriptedServer) -> SimulatorClient:
    """A simulator in which the partner may see environment 11."""
    simulator.change_partner_app(webhook_url=f"{webhook.url}/heap/webhook", webhook_secret="s")
    simulator.grant("11", "token")
    return simulator


def test_pages_are_signed_as_heap_does(ready: SimulatorClient, webhook: ScriptedServer) -> None:
    """Over the raw body, with the time in milliseconds."""
    ready.set_segment("11", "7", name="Größe ✓")
    ready.number_members("11", "7", 5)
    sent = ready.sync("11", "7", SyncOptions(page_size=2))
    assert (sent.pages, sent.delivered, sent.by_status, sent.last_position) == (
        3,
        3,
        {"200": 3},
        "p1",
    )
    for request in webhook.received:
        assert request.line.startswith("POST /heap/webhook ")
        ts_ms = int(request.headers["heap-hash"].split(",")[0].removeprefix("ts:"))
        assert abs(ts_ms - time.time() * 1000) < 10_000
        assert request.headers["heap-hash"] == heap_hash(request.body, "s", ts_ms)
    assert {json.loads(each.body)["id_token"] for each in webhook.received} == {"token"}
    assert ready.segment("11", "7")["told"] == 5


def test_the_signature_of_known_bodies() -> None:
    """`ts:<ms>,hmac:<base64>`: one value worked out by OpenSSL."""
    assert heap_hash(b"{}", "secret", 1) == "ts:1,hmac:FXdggHXxoOssk9Y18NciNId5bj0C/QwzMjHRvzwTXLY="


def test_what_is_refused_is_sent_again(ready: SimulatorClient, webhook: ScriptedServer) -> None:
    """Until 200, signed anew each time."""
    webhook.behaviours[:] = [answering("503 Later"), RESET_AFTER_READING, answering("403 No"), OK]
    ready.set_segment("11", "7")
    sent = ready.sync("11", "7")
    assert sent.by_status == {"503": 1, "none": 1, "403": 1, "200": 1}
    assert (sent.delivered, sent.undelivered) == (1, 0)
    assert len({each.body for each in webhook.received}) == 1


def test_late_pages_and_pages_nobody_took(ready: SimulatorClient, webhook: ScriptedServer) -> None:
    """They wait until they are asked for, in their order."""
    ready.set_segment("11", "7")
    ready.number_members("11", "7", 3)
    sent = ready.sync("11", "7", SyncOptions(page_size=1, hold_pages=frozenset({2})))
    assert sent.pages == 2
    webhook.behaviours[:] = [answering("503 Later")]
    ready.change_members("11", "7", add=["x"], remove=["user-0"])
    assert ready.sync("11", "7", SyncOptions(give_up_after_seconds=0.0)).undelivered == 1
    assert ready.segment("11", "7")["late_pages"] == 2
    webhook.behaviours[:] = [OK]
    webhook.received.clear()
    assert ready.send_late("11", "7").delivered == 2
    numbers = [
        json.loads(each.body)["data"]["sync_info"]["page_number"] for each in webhook.received
    ]
    assert numbers == [2, 1]
    assert ready.segment("11", "7")["late_pages"] == 0


def test_many_pages_at_once(ready: SimulatorClient, webhook: ScriptedServer) -> None:
    """Several under way together, each once and twice more."""
    ready.set_segment("11", "7")
    ready.number_members("11", "7", 40)
    sent = ready.sync(
        "11", "7", SyncOptions(page_size=2, parallel=8, duplicates=2, order="shuffled")
    )
    assert sent.delivered == len(webhook.received) == 60


def test_drain_over_http(ready: SimulatorClient, webhook: ScriptedServer) -> None:
    """One page; a later sync tells everybody again."""
    ready.set_segment("11", "7")
    ready.set_members("11", "7", ["a", {"identity": "b", "crm": 1}])
    ready.sync("11", "7")
    ready.drain("11", "7")
    ready.sync("11", "7")
    actions = [json.loads(each.body)["action_type"] for each in webhook.received]
    assert actions == ["segment.users.sync", "segment.users.drain", "segment.users.sync"]
    assert webhook.received[0].body.count(b'"id":"b"') == webhook.received[2].body.count(
        b'"id":"b"'
    )


def test_nothing_is_sent_that_nobody_allowed(ready: SimulatorClient) -> None:
    """No grant, or a toggle that is off; and no segment at all."""
    ready.set_segment("12", "7")
    with pytest.raises(CallerMistake, match="nobody has allowed"):
        ready.sync("12", "7")
    ready.set_segment("11", "7", enabled=False)
    with pytest.raises(CallerMistake, match="toggle of segment 7 is off"):
        ready.sync("11", "7")
    with pytest.raises(CallerMistake, match="no such segment"):
        ready.sync("11", "8")


def test_nonsense_is_explained(ready: SimulatorClient) -> None:
    """Unknown names and impossible values are not passed over."""
    with pytest.raises(CallerMistake, match="every_seconds"):
        ready.set_segment("11", "7", every_seconds=-1)
    with pytest.raises(CallerMistake, match="colour"):
        ready.set_segment("11", "7", colour="red")


def test_recurring_syncs_follow_the_clock(webhook: ScriptedServer) -> None:
    """At once, and again when the clock has gone on four hours."""
    clock = HandClock()
    with running_simulator(clock=clock) as simulator:
        simulator.change_partner_app(webhook_url=webhook.url)
        simulator.grant("11")
        simulator.set_segment("11", "7", every_seconds=14_400)
        _wait_for(webhook, 1)
        clock.ahead_seconds += 14_400
        _wait_for(webhook, 2)
        simulator.advance_schedule(14_400)
        _wait_for(webhook, 3)
        simulator.set_segment("11", "7", every_seconds=None)
        simulator.advance_schedule(14_400)
        time.sleep(0.2)
    assert len(webhook.received) == 3


def test_a_stop_does_not_wait_for_a_partner_who_is_down(webhook: ScriptedServer) -> None:
    """The simulator ends although a recurring sync still tries."""
    webhook.behaviours[:] = [answering("503 Later")]
    with running_simulator() as simulator:
        simulator.change_partner_app(webhook_url=webhook.url)
        simulator.grant("11")
        simulator.set_segment("11", "7", every_seconds=14_400)
        _wait_for(webhook, 1)
        began = time.monotonic()
    assert time.monotonic() - began < 30


def _wait_for(webhook: ScriptedServer, requests: int) -> None:
    deadline = time.monotonic() + 60
    while len(webhook.received) < requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)
