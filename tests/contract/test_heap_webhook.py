"""Heap's published webhook: signatures, bodies, and what its reference receiver answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from heapline.heap.connection import Connection
from heapline.heap.segment_page import Action, read_call
from heapline.heap.signature import Window, check_signature, header_of, read_signature
from heapline.words import Workspace
from tests.fakes.page_log import NOW_MS, SECRET, WebhookSite

if TYPE_CHECKING:
    import httpx

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "heap_segment_sync"
VECTORS = FOLDER / "derived__heap_hash_vectors.json"
pytestmark = pytest.mark.skipif(
    not VECTORS.is_file(), reason="Heap's webhook contract does not lie beside this repository"
)


def vectors() -> list[dict[str, Any]]:
    """The published vectors; none where the contract is absent."""
    return json.loads(VECTORS.read_text("utf-8"))["vectors"] if VECTORS.is_file() else []


def bodies() -> list[Path]:
    """The published bodies; none where the contract is absent."""
    return sorted(FOLDER.glob("*bin__data__*.json")) + sorted(FOLDER.glob("*example*.json"))


def test_there_are_seven_vectors_and_five_bodies() -> None:
    """Else the tests below would check nothing."""
    assert (len(vectors()), len(bodies())) == (7, 5)


@pytest.mark.parametrize("vector", vectors(), ids=lambda each: each["name"])
def test_every_published_signature_is_right(vector: dict[str, Any]) -> None:
    """Over the raw bytes, at the time it was made; and the header is made alike."""
    body, secret = vector["body"].encode("utf-8"), vector["secret"].encode("utf-8")
    signature = read_signature(vector["header"], vector["ts"], Window())
    check_signature(signature, body, (b"another", secret))
    assert header_of(vector["ts"], body, secret) == vector["header"]
    assert read_call(body).segment_id


def test_the_window_is_the_published_one() -> None:
    """60 s and 1 s."""
    published = json.loads(VECTORS.read_text("utf-8"))["acceptance_window_ms"]
    assert (published["max_old"], published["max_future"]) == (
        Window().max_age_ms,
        Window().max_ahead_ms,
    )


@pytest.mark.parametrize("path", bodies(), ids=lambda each: each.stem[-30:])
def test_every_published_body_is_read_whole(path: Path) -> None:
    """Nobody is left out, and every page number arrives."""
    published = json.loads(path.read_text("utf-8"))
    call = read_call(path.read_bytes())
    data = published["data"]
    assert call.id_token == published.get("id_token")
    assert (call.segment_id, call.segment_name) == (
        str(data["segment"]["id"]),
        data["segment"]["name"],
    )
    assert list(call.add) == [str(each["id"]) for each in data.get("add", ())]
    assert list(call.remove) == [str(each["id"]) for each in data.get("remove", ())]
    assert (call.action is Action.DRAIN) == ("drain" in published["action_type"])
    info = data.get("sync_info", {})
    assert call.page_number == info.get("page_number")
    assert call.total_pages == info.get("total_pages")
    assert call.sync_task_id == info.get("sync_task_id")


OBSERVED = FOLDER / "derived__reference_app_observed_behaviour.json"
OUR_WAY = {
    # One address takes both actions.
    "segment.users.sync body to /users_drain": 200,
    # We verify the raw bytes, as Heap's specification says; the receiver writes the JSON anew.
    "pretty-printed body, HMAC over the raw bytes": 200,
    "the same name sent as \\u escapes, HMAC over the raw bytes": 200,
    # The specification calls it optional and "empty for now".
    "customer_config absent": 200,
    "customer_config {}": 200,
}
"""Where ours means something else, and why."""


def observed() -> dict[str, int]:
    """The statuses of Heap's reference receiver, by request."""
    if not OBSERVED.is_file():
        return {}
    return {each["request"]: each["status"] for each in json.loads(OBSERVED.read_text())["cases"]}


def arguments_for(request: str) -> dict[str, Any]:
    """What to send for a request described in words."""
    sync = json.loads((FOLDER / "heap__heap-api-reference__bin__data__sync.json").read_text())
    drain = json.loads((FOLDER / "heap__heap-api-reference__bin__data__drain.json").read_text())
    examples = {
        each: json.loads((FOLDER / f"heap__heap-api-reference__{SPEC}{each}.json").read_text())
        for each in ("DeltaSyncAdd", "DeltaSyncRemove")
    }
    named = {**sync, "data": {**sync["data"], "segment": {"id": 42, "name": "über 30 ✓"}}}
    only = {"segment": sync["data"]["segment"]}
    seconds = f"ts:{NOW_MS // 1000},hmac:" + header_of(NOW_MS // 1000, b"", SECRET).split(":")[2]
    mac = header_of(NOW_MS, b"", SECRET).partition(",")[2]
    return {
        "valid sync.json to /users_sync": {"body": sync},
        "spec example with only `add`": {"body": examples["DeltaSyncAdd"]},
        "spec example with only `remove`": {"body": examples["DeltaSyncRemove"]},
        "valid drain.json to /users_drain": {"body": drain},
        "segment.users.sync body to /users_drain": {"body": sync},
        "no Heap-Hash header": {"body": sync, "header": None},
        "wrong secret": {"body": sync, "secret": b"wrong"},
        "ts 61 s old": {"body": sync, "age_ms": 61_000},
        "ts 2.5 s in the future": {"body": sync, "age_ms": -2_500},
        "ts in seconds instead of milliseconds": {"body": sync, "header": seconds},
        "pretty-printed body, HMAC over the raw bytes": {
            "body": json.dumps(sync, indent=2).encode()
        },
        "non-ASCII segment name sent as raw UTF-8": {
            "body": json.dumps(named, ensure_ascii=False).encode()
        },
        "the same name sent as \\u escapes, HMAC over the raw bytes": {"body": named},
        "neither add nor remove": {"body": {**sync, "data": only}},
        "add: [] and no remove": {"body": {**sync, "data": {**only, "add": []}}},
        "customer_config absent": {
            "body": {k: v for k, v in sync.items() if k != "customer_config"}
        },
        "customer_config {}": {"body": {**sync, "customer_config": {}}},
        "header `hmac:abc` only": {"body": sync, "header": "hmac:abc"},
        "header with hmac before ts": {"body": sync, "header": f"{mac},ts:{NOW_MS}"},
        "unknown action_type `x`": {"body": {**sync, "action_type": "x"}},
    }[request]


SPEC = "webhook_spec.yaml__example_"


def test_all_twenty_observed_answers_are_compared() -> None:
    """And every exception is one of them."""
    assert len(observed()) == 20
    assert OUR_WAY.keys() <= observed().keys()


@pytest.mark.parametrize("request_in_words", observed())
def test_answers_are_those_of_heaps_reference_receiver(request_in_words: str) -> None:
    """Heap's own samples, sent to ours; the customer of the samples is connected."""
    with WebhookSite(own="own") as site:
        tokens = ("CustomerIdToken", "7a36ae58-c4b9-11eb-8529-0242ac130003")
        for number, token in enumerate(tokens):
            site.connections.put(Connection(Workspace(f"customer-{number}"), id_token=token))
        site.connections.remove(Workspace("acme"))
        response = site.send(**arguments_for(request_in_words))
    expected = OUR_WAY.get(request_in_words, observed()[request_in_words])
    assert response.status_code == expected
    assert len(site.log.pages) == (1 if expected == 200 or refused_for_good(response) else 0)


def refused_for_good(response: httpx.Response) -> bool:
    """Whether the call was signed rightly and meant nothing: then it is kept to be shown."""
    return str(response.json()["type"]).endswith((":unknown-action", ":neither-add-nor-remove"))
