"""Heap's decisions in virtual time: all or nothing, exact limits, first write wins."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.heap_simulator.ledger import Arrival, Ledger
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.model import HeapModel

EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["A", "B"]), "identity": st.sampled_from(["ann", "bob"])},
    optional={
        "idempotency_key": st.sampled_from(["1", "2", "3"]),
        "properties": st.sampled_from([{"p": 1}, {"p": 2}]),
    },
)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["11", "12"]),
        st.lists(EVENTS, min_size=1, max_size=6),
        st.sampled_from([0.0, 0.5, 30.0, 60.0]),
    ),
    max_size=30,
)


def model(*, keep_payloads: int = 1000, **limits: int) -> HeapModel:
    """A Heap that has seen nothing yet."""
    return HeapModel(Limits(**limits), Ledger(keep_payloads=keep_payloads))


def send(heap: HeapModel, app_id: str, *events: object, now: float = 0.0, number: int = 1) -> int:
    """Send a bulk request; tells the status."""
    document = {"app_id": app_id, "events": list(events)}
    return heap.track(document, now=now, arrival=Arrival(number, 1)).status


def written(heap: HeapModel, app_id: str) -> list[dict[str, Any]]:
    """The accepted events of an app, as the ledger tells them."""
    return [orjson.loads(line) for line in heap.ledger.lines(app_id, after=0, limit=10**6)]


def event(identity: str = "ann", **fields: object) -> dict[str, object]:
    """A valid event."""
    return {"event": "A", "identity": identity} | fields


@settings(deadline=None)
@given(REQUESTS)
def test_first_write_wins(requests: list[tuple[str, list[dict[str, Any]], float]]) -> None:
    """Whatever is sent in whatever order, the ledger is what a plain first-wins dict says."""
    heap = model()
    expected: dict[str, list[dict[str, Any]]] = {"11": [], "12": []}
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    duplicates: Counter[str] = Counter()
    conflicts: Counter[str] = Counter()
    for app_id, events, _ in requests:
        assert send(heap, app_id, *events) == 200
        for sent in events:
            key = sent.get("idempotency_key")
            if key is not None and (app_id, key) in seen:
                duplicates[app_id] += 1
                conflicts[app_id] += sent != seen[app_id, key]
                continue
            expected[app_id].append(sent)
            if key is not None:
                seen[app_id, key] = sent
    for app_id, events in expected.items():
        account = heap.ledger.account(app_id)
        told = [
            {k: line[k] for k in line.keys() & sent.keys()}
            for line, sent in zip(written(heap, app_id), events, strict=True)
        ]
        assert told == events
        assert account.accepted == len(events)
        assert account.duplicates == duplicates[app_id]
        assert account.conflicting_duplicates == conflicts[app_id]


@settings(deadline=None)
@given(REQUESTS)
def test_limits_hold_for_every_app_and_identity(
    requests: list[tuple[str, list[dict[str, Any]], float]],
) -> None:
    """A request is refused exactly if it would pass a limit, and a refused one counts nowhere."""
    heap = model(events_per_minute_per_app=9, events_per_minute_per_identity=5)
    accepted: list[tuple[float, str, str]] = []
    now = 0.0
    for app_id, events, pause in requests:
        now += pause
        recent = Counter(who for at, app, who in accepted if app == app_id and at > now - 60)
        recent.update(sent["identity"] for sent in events)
        allowed = recent.total() <= 9 and max(recent.values()) <= 5
        before = heap.ledger.account(app_id).accepted
        assert send(heap, app_id, *events, now=now) == (200 if allowed else 429)
        if allowed:
            accepted += [(now, app_id, sent["identity"]) for sent in events]
        else:
            assert heap.ledger.account(app_id).accepted == before


def test_published_limits_are_the_default() -> None:
    """Without settings: 15,000 events a minute per app and 1,000 per identity."""
    heap = model()
    for n in range(15):
        assert send(heap, "11", *[event(f"user {n}")] * 1000) == 200
    assert send(heap, "11", event("new"), now=59.9) == 429
    assert send(heap, "12", event("user 1"), now=59.9) == 200
    assert send(heap, "11", event("new"), now=60.0) == 200


def test_identity_limit_leaves_others_alone() -> None:
    """One identity over its limit is refused while others of the app are accepted."""
    heap = model()
    assert send(heap, "11", *[event("ann")] * 1000) == 200
    assert send(heap, "11", event("ann")) == 429
    assert send(heap, "11", event("bob"), event("ann")) == 429
    assert send(heap, "11", event("bob")) == 200
    assert send(heap, "11", {"event": "A", "user_id": "7"}) == 200


def test_duplicates_count_against_the_limit() -> None:
    """Sending the same event again uses up the budget, though it changes nothing."""
    heap = model(events_per_minute_per_identity=3)
    repeated = event(idempotency_key="k")
    assert [send(heap, "11", repeated) for _ in range(4)] == [200, 200, 200, 429]
    assert heap.ledger.account("11").accepted == 1
    assert heap.ledger.account("11").duplicates == 2


def test_one_bad_event_refuses_all() -> None:
    """A 400 applies nothing, uses no budget, and remembers no key."""
    heap = model(events_per_minute_per_identity=2)
    good = event(idempotency_key="k")
    for _ in range(5):
        assert send(heap, "11", good, event(properties={"p": None})) == 400
    assert written(heap, "11") == []
    assert send(heap, "11", good, event()) == 200
    assert heap.ledger.account("11").duplicates == 0


def test_unknown_apps_are_refused_when_asked_for() -> None:
    """With a list of app ids, others get 401 even for events that are invalid."""
    heap = HeapModel(Limits(), Ledger(keep_payloads=1), only_apps=frozenset({"11"}))
    assert send(heap, "11", event()) == 200
    assert send(heap, "12", event()) == 401
    assert send(heap, "12", "no event") == 401
    assert send(heap, "11", "no event") == 400


@pytest.mark.parametrize("change", [{"event": "B"}, {"properties": {"p": 2}}, {"identity": "bob"}])
def test_conflicting_duplicates_are_named(change: dict[str, object]) -> None:
    """A repeated key with other content is answered 200, changes nothing and is named."""
    heap = model()
    first = event(idempotency_key="k", properties={"p": 1})
    assert send(heap, "11", first) == 200
    assert send(heap, "11", first | change) == 200
    assert list(heap.ledger.account("11").conflicting_keys) == ["k"]
    assert written(heap, "11")[0]["properties"] == {"p": 1}
    assert written(heap, "11")[0]["event"] == "A"


def test_order_of_properties_is_no_conflict() -> None:
    """The same content written in another order is the same."""
    heap = model()
    send(heap, "11", event(idempotency_key="k", properties={"a": 1, "b": 2}))
    send(heap, "11", event(idempotency_key="k", properties={"b": 2, "a": 1}))
    assert heap.ledger.account("11").duplicates == 1
    assert heap.ledger.account("11").conflicting_duplicates == 0


def test_single_and_bulk_share_their_keys() -> None:
    """A key written by a single request is known to bulk requests, without a conflict."""
    heap = model()
    single = event(idempotency_key="k") | {"app_id": "11"}
    assert heap.track(single, now=0.0, arrival=Arrival(1, 1)).status == 200
    assert send(heap, "11", event(idempotency_key="k")) == 200
    assert heap.ledger.account("11").duplicates == 1
    assert heap.ledger.account("11").conflicting_duplicates == 0


def test_what_heap_does_not_know_is_not_kept() -> None:
    """Fields outside the contract, however deep, neither break nor enter the ledger."""
    deep: object = "bottom"
    for _ in range(900):
        deep = [deep]
    heap = model()
    assert send(heap, "11", event(extra=deep)) == 200
    assert "extra" not in written(heap, "11")[0]


def test_beyond_the_bound_keys_are_kept() -> None:
    """The ledger keeps so many events whole, and of all later ones the key, the count and order."""
    heap = model(keep_payloads=2)
    for n in range(4):
        send(heap, "11", event(idempotency_key=str(n)), number=n)
    lines = written(heap, "11")
    assert [line["idempotency_key"] for line in lines] == ["0", "1", "2", "3"]
    assert [line.get("request_number") for line in lines] == [0, 1, None, None]
    send(heap, "11", event(idempotency_key="3"))
    assert heap.ledger.account("11").duplicates == 1


def test_retry_time_is_when_the_request_fits() -> None:
    """A refusal for a limit tells when the same request would be accepted."""
    heap = model(events_per_minute_per_app=2)
    send(heap, "11", event(), now=10.0)
    send(heap, "11", event(), now=20.0)
    document = {"app_id": "11", "events": [event()]}
    verdict = heap.track(document, now=30.0, arrival=Arrival(1, 1))
    assert verdict.fits_in_seconds == 40.0
