"""Happenings written down as Command AI's sources would: v2 envelope, v1 wire, callback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from devstack.demo.happenings import Kind
from heapline.events.catalogue import V1_INTERNAL_NAMES, V1_TYPES
from heapline.events.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.demo.happenings import Happening

POISON_PROPERTY: Final = "demo_poison"
"""The simulator is told to answer 400 to whatever has this property."""
UNDECODABLE: Final = b'{"this": "is JSON, not an Avro record in Confluent framing"}'

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGES: Final = (
    ("/start", "Start"),
    ("/projects", "Projects"),
    ("/projects/board", "Board"),
    ("/reports/weekly", "Weekly report"),
    ("/settings/team", "Team"),
    ("/billing", "Billing"),
)
_NUDGES: Final = (
    ("welcome-tour", "Welcome", "product_tour"),
    ("new-reports", "Reports are here", "announcement"),
    ("invite-team", "Invite your team", "checklist"),
    ("nps-spring", "How likely are you to recommend us?", "survey"),
)
_QUERIES: Final = ("invite a colleague", "change plan", "export to csv", "api key", "two factor")
_TYPE_OF: Final = {meaning: name for name, meaning in V1_TYPES.items()}


def payload_of(happening: Happening) -> dict[str, Any]:
    """Write a happening down in its shape; kind *undecodable* has no payload but `UNDECODABLE`."""
    return _WRITERS[happening.shape](happening)


def _v2(it: Happening) -> dict[str, Any]:
    path, title = _page(it)
    domain = f"app.{it.member.workspace}.example"
    return {
        "version": 2,
        "name": it.name,
        "is_admin": it.kind is Kind.ADMIN,
        "is_simulated": it.kind is Kind.SIMULATED,
        "end_user_properties": {"plan": "pro" if it.number % 3 else "free"},
        "organization_key": it.member.workspace,
        "distinct_id": _user_id(it) or "",
        "anon_distinct_id": it.device,
        "timestamp": _iso(it.timestamp_ms),
        "sent_at": _iso(it.timestamp_ms + 40),
        "page": {"domain": domain, "hash": "", "path": path, "query": "", "title": title},
        "scrubbers": [],
        "properties": {"locale": "de-DE" if it.number % 4 == 0 else "en-US"},
        **_group(it),
    }


def _v1(it: Happening) -> dict[str, Any]:
    path, title = _page(it)
    kind_of_event = _TYPE_OF.get(V1_INTERNAL_NAMES.get(it.name, ""))
    attrs = {**({"type": kind_of_event} if kind_of_event else {}), **_details(it)}
    return {
        "context": {
            "page": {
                "path": path,
                "title": title,
                "url": f"https://app.{it.member.workspace}.example{path}",
                "search": "",
            },
            "groupId": it.member.workspace,
            "cbSource": {"type": "browser"},
        },
        "userType": "admin" if it.kind is Kind.ADMIN else "end_user",
        "type": "t",
        "attrs": attrs,
        "name": it.name,
        "id": _user_id(it),
        "session": it.session,
        "fingerprint": it.device,
        "reportToSegment": False,
        "clientEventTimestamp": _iso(it.timestamp_ms),
    }


def _callback(it: Happening) -> dict[str, Any]:
    return {
        "name": it.name,
        "data": {"type": it.name, **_details(it)},
        "user_id": _user_id(it),
        "anonymous_id": it.device,
        "session_id": it.session,
        "timestamp": it.timestamp_ms,
    }


_WRITERS: Final = {Shape.V2: _v2, Shape.V1: _v1, Shape.CALLBACK: _callback}


def _user_id(it: Happening) -> str | None:
    return None if it.kind is Kind.ANONYMOUS else it.person


def _page(it: Happening) -> tuple[str, str]:
    return _PAGES[it.number % len(_PAGES)]


def _group(it: Happening) -> dict[str, Any]:
    """Give the group of a v2 envelope that goes with the event's name."""
    family = it.name.removeprefix("cb:").partition("_")[0]
    group = {
        "nudge": _nudge(it) | {"step": it.number % 3 + 1},
        "copilot": {"chat_id": f"chat-{it.number % 997}", "question": _query(it)},
        "helphub": {"query": _query(it), "results": it.number % 9},
        "spotlight": {"query": _query(it), "results": ["records", "commands"]},
        "action": {"id": it.number % 40, "name": "Go to settings", "type": "link"},
        "content": {"id": it.number % 60, "title": f"How to {_query(it)}", "type": "helpdoc"},
    }.get(family)
    return {} if group is None else {family: group}


def _details(it: Happening) -> dict[str, Any]:
    """Give the properties of a v1 event or of what a callback hands on."""
    name = it.name.lower().replace(" ", "_")
    details: dict[str, Any] = {"ranking": it.number % 5}
    if name.startswith(("nudge", "survey")):
        details = {"nudge": _nudge(it), "step": {"index": it.number % 3, "total": 3}}
    elif name.startswith("questlist"):
        details = {"questlist": {"id": it.number % 12, "title": "Getting started"}}
    elif name.startswith(("help", "no_", "search", "abandoned")):
        details = {"inputText": _query(it), "tags": ["docs", "en"]}
    elif name.startswith("command"):
        details = {"command": it.number % 80, "commandText": "Create project", "source": "bar"}
    return {**details, **_marks(it.kind)}


def _marks(kind: Kind) -> Mapping[str, Any]:
    if kind is Kind.PREVIEW:
        return {"status": {"is_preview": True}}
    return {POISON_PROPERTY: "yes"} if kind is Kind.POISON else {}


def _nudge(it: Happening) -> dict[str, Any]:
    slug, title, kind = _NUDGES[it.number % len(_NUDGES)]
    return {"id": slug, "title": title, "type": kind}


def _query(it: Happening) -> str:
    return _QUERIES[it.number % len(_QUERIES)]


def _iso(epoch_ms: int) -> str:
    text = (_EPOCH + timedelta(milliseconds=epoch_ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
