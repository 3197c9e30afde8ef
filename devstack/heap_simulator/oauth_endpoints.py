"""The authorize page and the endpoints behind it, as a browser and a partner see them."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson

from devstack.heap_simulator.http_messages import HTML, Answer, Reply, Request
from devstack.heap_simulator.oauth_model import AuthorizationRequest, NotRegistered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.heap_simulator.oauth_model import OAuthAnswer
    from devstack.heap_simulator.router import Router
    from devstack.heap_simulator.world import SimulatedHeap

AUTHORIZE = "/api/partner/oauth/authorize"
TOKEN = "/api/partner/oauth/token"  # noqa: S105 - a path
METADATA = "/api/partner/v1/metadata/{id_token}"
SIGNED_IN_AS = "admin@customer.example"
"""Who is signed in to Heap, as far as the simulator is concerned."""


class OAuthEndpoints:
    """Plays Heap's OAuth for partners."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap

    def add_to(self, router: Router) -> None:
        """Register every endpoint."""
        router.add("GET", AUTHORIZE, self._show)
        router.add("POST", AUTHORIZE, self._decide)
        router.add("POST", TOKEN, self._exchange)
        router.add("GET", METADATA, self._metadata)

    async def _show(self, request: Request) -> Reply:
        asked = AuthorizationRequest.of(request.query)
        try:
            refused = self._heap.oauth.refusal(asked)
        except NotRegistered as error:
            return _page(_refusal(str(error)), HTTPStatus.BAD_REQUEST)
        if refused:
            return _redirect(refused)
        return _page(_choice(asked, self._heap.oauth.app.name, self._heap.oauth.environments))

    async def _decide(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        asked, oauth = AuthorizationRequest.of(form), self._heap.oauth
        try:
            if form.get("decision") != "allow":
                return _redirect(oauth.deny(asked))
            now_ms = self._heap.clock.epoch_ms()
            return _redirect(oauth.allow(asked, form.get("env_id", ""), SIGNED_IN_AS, now_ms))
        except NotRegistered as error:
            return _page(_refusal(str(error)), HTTPStatus.BAD_REQUEST)

    async def _exchange(self, request: Request) -> Reply:
        if forced := self._heap.spoilt_oauth.pop("token", None):
            return Answer(forced, b"not what you expect", content_type=HTML)
        return _json(self._heap.oauth.exchange(_fields(request), self._heap.clock.epoch_ms()))

    async def _metadata(self, request: Request) -> Reply:
        if forced := self._heap.spoilt_oauth.pop("metadata", None):
            return Answer(forced, b"not what you expect", content_type=HTML)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        bearer = bearer if scheme.lower() == "bearer" else ""
        return _json(self._heap.oauth.metadata(request.parameters["id_token"], bearer))


def _fields(request: Request) -> dict[str, object]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        return dict(parse_qsl(request.body.decode("utf-8", "replace")))
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _json(answer: OAuthAnswer) -> Answer:
    headers = {"cache-control": "no-store"}
    return Answer(answer.status, orjson.dumps(answer.document), headers=headers)


def _redirect(address: str) -> Answer:
    return Answer(HTTPStatus.FOUND, b"", headers={"location": address})


def _page(content: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    whole = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Heap (simulated)</title><body><main>{content}</main></body></html>"
    )
    return Answer(status, whole.encode(), content_type=HTML)


def _refusal(reason: str) -> str:
    return f"<h1>This link is not good</h1><p>{html.escape(reason)}</p>"


def _choice(asked: AuthorizationRequest, name: str, environments: Mapping[str, str]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{each}" value="{html.escape(getattr(asked, each))}">'
        for each in asked.__slots__
    )
    options = "".join(
        f'<option value="{html.escape(env_id)}">{html.escape(title)} ({html.escape(env_id)})'
        for env_id, title in environments.items()
    )
    return (
        f"<h1>{html.escape(name)} asks to see your segments</h1>"
        f'<form method="post" action="{AUTHORIZE}">{hidden}'
        f'<p><label>Environment <select name="env_id">{options}</select></label></p>'
        '<p><button name="decision" value="allow">Allow</button> '
        '<button name="decision" value="deny">Deny</button></p></form>'
    )
