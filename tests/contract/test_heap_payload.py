"""The payload against Heap's own reference, as kept beside the project."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from consumers.forwarder.heap_properties import MAX_CHARACTERS
from consumers.forwarder.mapping import (
    MAX_IDENTITY_CHARACTERS,
    MAX_NAME_CHARACTERS,
    Mapper,
    request_body,
)
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.heap.track import track_url
from heapline.settings import LimitSettings
from heapline.words import AppId, EventId, UserId, Workspace

CONTRACT = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "heap_server_api"
SNAPSHOT = "rivit-studio__heap-mcp-server__.heap-api-snapshots__"
pytestmark = pytest.mark.skipif(
    not CONTRACT.is_dir(), reason="Heap's reference is not beside the project (../shared/contracts)"
)


def bulk_reference() -> str:
    """Heap's page on bulk track."""
    return (CONTRACT / f"{SNAPSHOT}bulk-track.txt").read_text(encoding="utf-8")


def track_reference() -> dict[str, Any]:
    """Heap's description of the fields of a track request."""
    document = json.loads((CONTRACT / f"{SNAPSHOT}track.json").read_text(encoding="utf-8"))
    content = document["paths"]["/api/track"]["post"]["requestBody"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def sent() -> dict[str, Any]:
    """A bulk request of ours, parsed."""
    connection = Connection(Workspace("acme"), app_id=AppId("1"), region=Region.US, send=Send.ON)
    event = Event(
        EventId("e-1"), Workspace("acme"), "nudge_clicked", UserId("u-1"), 1_489_184_516_000, 0
    )
    body = Mapper(connection).map(event, "u-1").body
    document: dict[str, Any] = json.loads(request_body("12343283", [body]))
    return document


def test_the_request_has_the_shape_of_heaps_example() -> None:
    """The same members as the example, and the key that prevents duplicates."""
    example = json.loads(re.findall(r"-d '(\{.*?\})'", bulk_reference(), re.DOTALL)[0])
    ours = sent()
    assert set(ours) == set(example)
    assert type(ours["app_id"]) is type(example["app_id"])
    assert set(ours["events"][0]) == set(example["events"][0]) | {"idempotency_key"}
    moments = [datetime.fromisoformat(r["events"][0]["timestamp"]) for r in (ours, example)]
    assert moments[0].utcoffset() == moments[1].utcoffset()


def test_every_member_is_described_with_the_type_we_send() -> None:
    """Nothing is sent that the reference does not describe."""
    described = track_reference()["properties"]
    for name, value in sent()["events"][0].items():
        assert described[name]["type"] == ("object" if isinstance(value, dict) else "string")


def test_limits_are_the_documented_ones() -> None:
    """Lengths, events a request and events a minute."""
    described = track_reference()["properties"]
    assert (
        f"limited to {MAX_IDENTITY_CHARACTERS} characters" in described["identity"]["description"]
    )
    assert f"Limited to {MAX_NAME_CHARACTERS} characters" in described["event"]["description"]
    assert f"fewer than {MAX_CHARACTERS + 1} characters" in described["properties"]["description"]
    page, limits = bulk_reference(), LimitSettings()
    assert f"max of {limits.events_per_request} events per request" in page
    assert f"limited to {limits.events_per_minute_per_identity} events per minute per id" in page
    assert f"{limits.events_per_minute_per_app:,} events per minute per app" in page


def test_endpoints_are_the_documented_ones() -> None:
    """The region decides the host."""
    page = bulk_reference()
    for region in Region:
        assert track_url(region, None) in page
