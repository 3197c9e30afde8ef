"""Heap's user deletion, as its reference describes it: token, request, status."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from devstack.heap_simulator.http_messages import Answer, Reply, Request

if TYPE_CHECKING:
    from devstack.heap_simulator.router import Router
    from devstack.heap_simulator.world import SimulatedHeap

AUTH_TOKEN = "/api/public/v0/auth_token"  # noqa: S105 - a path
USER_DELETION = "/api/public/v0/user_deletion"
DELETION_STATUS = "/api/public/v0/deletion_status/{request_id}"
API_KEY = "simulated-api-key"
TOKEN_MS = 300_000
MOST_USERS = 10_000


@dataclass(slots=True)
class DeletionModel:
    """What was asked to be deleted; every app id has the one API key.

    Attributes:
        requests: by id, the app and the users.
        status: what every request's status is.
    """

    requests: dict[str, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    status: str = "pending"
    _tokens: dict[str, tuple[str, int]] = field(default_factory=dict)

    def token(self, authorization: str, now_ms: int) -> str | None:
        """Give a token for good credentials."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            app_id, _, key = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        if scheme.lower() != "basic" or not app_id or key != API_KEY:
            return None
        token = uuid4().hex
        self._tokens[token] = app_id, now_ms + TOKEN_MS
        return token

    def app_of(self, authorization: str, now_ms: int) -> str | None:
        """Give whose token this is, while it is good."""
        scheme, _, token = authorization.partition(" ")
        app_id, until_ms = self._tokens.get(token, ("", 0))
        return app_id if scheme.lower() == "bearer" and now_ms < until_ms else None


class DeletionEndpoints:
    """Plays Heap's user deletion; what was asked for shows at `/_sim/deletions`."""

    def __init__(self, heap: SimulatedHeap) -> None:
        self._heap = heap

    def add_to(self, router: Router) -> None:
        """Register every endpoint."""
        router.add("POST", AUTH_TOKEN, self._token)
        router.add("POST", USER_DELETION, self._delete)
        router.add("GET", DELETION_STATUS, self._status)
        router.add("GET", "/_sim/deletions", self._list)

    async def _token(self, request: Request) -> Reply:
        given = request.headers.get("authorization", "")
        token = self._heap.deletions.token(given, self._heap.clock.epoch_ms())
        if token is None:
            return _json({"err": {"message": "Unauthorized"}}, HTTPStatus.UNAUTHORIZED)
        return _json({"access_token": token})

    async def _delete(self, request: Request) -> Reply:
        app_id = self._app(request)
        if app_id is None:
            return _json({"error": "unauthorized"}, HTTPStatus.UNAUTHORIZED)
        users = _users(request.body)
        if not users or len(users) > MOST_USERS:
            return _json({"error": "users", "message": "give users"}, HTTPStatus.BAD_REQUEST)
        request_id = str(uuid4())
        self._heap.deletions.requests[request_id] = app_id, users
        location = DELETION_STATUS.replace("{request_id}", request_id)
        told = {"deletion_request_location": location, **self._told(request_id)}
        return _json(told, HTTPStatus.CREATED)

    async def _status(self, request: Request) -> Reply:
        app_id, request_id = self._app(request), request.parameters["request_id"]
        if app_id is None:
            return _json({"error": "unauthorized"}, HTTPStatus.UNAUTHORIZED)
        owner, _ = self._heap.deletions.requests.get(request_id, ("", []))
        if owner != app_id:
            return _json({"error": "not found"}, HTTPStatus.NOT_FOUND)
        return _json(self._told(request_id))

    async def _list(self, _request: Request) -> Reply:
        asked = self._heap.deletions.requests.values()
        return _json([{"app_id": app_id, "users": users} for app_id, users in asked])

    def _told(self, request_id: str) -> dict[str, str]:
        return {"deletion_request_id": request_id, "status": self._heap.deletions.status}

    def _app(self, request: Request) -> str | None:
        given = request.headers.get("authorization", "")
        return self._heap.deletions.app_of(given, self._heap.clock.epoch_ms())


def _users(body: bytes) -> list[dict[str, Any]]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    users = document.get("users") if isinstance(document, dict) else None
    return users if isinstance(users, list) else []


def _json(document: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, orjson.dumps(document))
