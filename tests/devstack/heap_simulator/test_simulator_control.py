"""What the simulator tells about itself and how it is changed while it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import Limits, SimulatorClient, SimulatorSettings, running_simulator
from heapline.errors import CallerMistake
from tests.devstack.heap_simulator.raw_http import connect, exchange, single

if TYPE_CHECKING:
    from tests.devstack.heap_simulator.raw_http import Received


def ask(simulator: SimulatorClient, method: str, path: str, body: bytes | None = None) -> Received:
    """One request over a connection of its own."""
    connection = connect(simulator.url)
    try:
        return exchange(connection, method, path, body)
    finally:
        connection.close()


def test_health(explaining: SimulatorClient) -> None:
    """A running simulator is healthy, a stopped one is not."""
    assert explaining.is_healthy()
    with running_simulator() as gone:
        pass
    assert not gone.is_healthy()


def test_ledger_sums_up(explaining: SimulatorClient) -> None:
    """The ledger counts requests by status and events by what became of them."""
    explaining.track(single("11", idempotency_key="k"))
    explaining.track(single("11", idempotency_key="k"))
    explaining.track(single("11", idempotency_key="k", event="other"))
    explaining.track(single("12"))
    explaining.track(single("12", event=""))
    explaining.track({})
    ledger = explaining.ledger()
    assert (ledger.requests, ledger.requests_by_status) == (6, {"200": 4, "400": 2})
    assert (ledger.accepted, ledger.duplicates, ledger.conflicting_duplicates) == (2, 2, 1)
    assert ledger.apps["11"].conflicting_keys == ["k"]
    assert ledger.apps["12"].outcomes == {"200": 1, "400": 1}
    assert ledger.apps["11"].most_events_of_one_identity_in_60_s == 3


def test_accepted_events_are_told_whole(explaining: SimulatorClient) -> None:
    """An accepted event is told as it was sent, with the request that brought it."""
    sent = single(
        idempotency_key="k",
        timestamp="2017-03-10T22:21:56Z",
        properties={"text": "\u00fc", "number": 1.5},
        session_id="s",
    )
    explaining.track({})
    explaining.track(sent)
    (told,) = explaining.events("11")
    received_at_ms = told.pop("received_at_ms")
    assert abs(received_at_ms - explaining.requests()[1].received_at_ms) == 0
    del sent["app_id"]
    assert told == sent | {"number": 1, "request_number": 2}


def test_pages_of_events(explaining: SimulatorClient) -> None:
    """Pages of any size give every event once and in order; the lines are NDJSON."""
    for n in range(3):
        events = [
            {"event": "E", "identity": f"{n}", "idempotency_key": f"{n}-{i}"} for i in range(700)
        ]
        assert explaining.track({"app_id": "11", "events": events}) == 200
    expected = [f"{n}-{i}" for n in range(3) for i in range(700)]
    assert explaining.keys("11") == expected
    for size in (37, 500, 699, 700):
        told = explaining.events("11", page_size=size)
        assert [event["idempotency_key"] for event in told] == expected
    answer = ask(explaining, "GET", "/_sim/ledger?app_id=11&events=1&after=2098&limit=1")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body.endswith(b"\n")
    assert json.loads(answer.body)["idempotency_key"] == "2-698"
    assert ask(explaining, "GET", "/_sim/ledger?app_id=11&events=1&after=2100").body == b""
    assert ask(explaining, "GET", "/_sim/ledger?app_id=nobody&events=1").body == b""


def test_requests_are_told(explaining: SimulatorClient) -> None:
    """The latest requests are told with size, outcome and reason, oldest first."""
    explaining.track(single("11"))
    explaining.track({"app_id": "12", "events": [1, 2]})
    first, second = explaining.requests()
    assert (first.number, first.app_id, first.events, first.status) == (1, "11", 1, 200)
    assert first.size_bytes == len(json.dumps(single("11"), separators=(",", ":")))
    assert (second.events, second.status, second.reason) == (2, 400, "event_not_an_object")
    assert [request.number for request in explaining.requests(limit=1)] == [2]


def test_reset_is_a_fresh_start(simulator: SimulatorClient) -> None:
    """Afterwards no key is known, no budget is used and nothing is counted."""
    simulator.change_limits(events_per_minute_per_app=1)
    keyed = single(idempotency_key="k")
    assert [simulator.track(keyed) for _ in range(2)] == [200, 429]
    simulator.reset()
    assert (simulator.ledger().requests, simulator.ledger().apps) == (0, {})
    assert simulator.requests() == []
    assert [simulator.track(keyed) for _ in range(2)] == [200, 429]
    assert simulator.ledger().accepted == 1
    assert simulator.limits().events_per_minute_per_app == 1


def test_limits_change_one_by_one(simulator: SimulatorClient) -> None:
    """Heap's published limits are the start; a change leaves the unnamed ones."""
    assert simulator.limits() == Limits()
    assert simulator.limits().events_per_minute_per_app == 15_000
    assert simulator.limits().events_per_minute_per_identity == 1_000
    assert simulator.limits().events_per_request == 1_000
    changed = simulator.change_limits(events_per_minute_per_identity=1)
    assert changed == simulator.limits()
    assert changed == Limits(events_per_minute_per_identity=1)
    assert [simulator.track(single()) for _ in range(2)] == [200, 429]
    simulator.change_limits(events_per_minute_per_app=5)
    expected = Limits(events_per_minute_per_identity=1, events_per_minute_per_app=5)
    assert simulator.limits() == expected


def test_unknown_apps(simulator: SimulatorClient) -> None:
    """Every app id exists, until it is said which do."""
    assert simulator.track(single("12")) == 200
    simulator.only_apps("11")
    assert [simulator.track(single(app)) for app in ("11", "12")] == [200, 401]
    simulator.only_apps()
    assert simulator.track(single("11")) == 401
    simulator.all_apps()
    assert simulator.track(single("12")) == 200


def test_unknown_apps_from_the_start() -> None:
    """The app ids that exist can be named before the first request."""
    settings = SimulatorSettings(only_apps=frozenset({"11"}))
    with running_simulator(settings) as simulator:
        assert [simulator.track(single(app)) for app in ("11", "12")] == [200, 401]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/_sim/faults", b"no json"),
        ("PUT", "/_sim/faults", b"{}"),
        ("PUT", "/_sim/faults", b'[{"kind":"nonsense"}]'),
        ("PUT", "/_sim/limits", b"no json"),
        ("PUT", "/_sim/limits", b"[]"),
        ("PUT", "/_sim/limits", b'{"typo":1}'),
        ("PUT", "/_sim/limits", b'{"events_per_minute_per_app":-1}'),
        ("PUT", "/_sim/apps", b'{"only":"11"}'),
        ("GET", "/_sim/ledger?events=1", None),
        ("GET", "/_sim/ledger?events=1&app_id=11&after=-1", None),
        ("GET", "/_sim/requests?limit=x", None),
    ],
)
def test_nonsense_is_explained(
    explaining: SimulatorClient, method: str, path: str, body: bytes | None
) -> None:
    """What the simulator does not understand it refuses with a reason, and changes nothing."""
    before = (explaining.limits(), explaining.armed_faults())
    answer = ask(explaining, method, path, body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]
    assert (explaining.limits(), explaining.armed_faults()) == before


def test_the_client_explains_refusals(explaining: SimulatorClient) -> None:
    """A refusal reaches the caller as an error with the simulator's words."""
    with pytest.raises(CallerMistake, match="typo"):
        explaining.change_limits(typo=1)


def test_other_methods_are_refused(explaining: SimulatorClient) -> None:
    """Control paths answer the methods they are made for and name them."""
    answer = ask(explaining, "POST", "/_sim/faults", b"[]")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PUT")
