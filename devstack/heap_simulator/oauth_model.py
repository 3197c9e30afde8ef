"""Heap's side of OAuth for partners: pure state, with the time and the random texts handed in.

After heap/heap-api-reference and developers.heap.io ("Creating a new Heap integration").
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devstack.heap_simulator.partner_app import PartnerApp

SCOPE = "segment"
CODE_MS = 600_000
"""How long a code is good: the longest that RFC 6749, section 4.1.2, recommends."""


class NotRegistered(Exception):
    """The authorize page shows this, and sends the browser nowhere (RFC 6749, 4.1.2.1)."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a partner's link to the authorize page says."""

    client_id: str = ""
    redirect_uri: str = ""
    response_type: str = ""
    scope: str = ""
    state: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> AuthorizationRequest:
        """Take it from a query or a form."""
        return cls(**{name: query.get(name, "") for name in cls.__slots__})

    def back(self, **answer: str) -> str:
        """Give the address that brings an answer, and the state, back to the partner."""
        state = {"state": self.state} if self.state else {}
        return f"{self.redirect_uri}?{urlencode({**answer, **state})}"


@dataclass(frozen=True, slots=True)
class Grant:
    """That somebody allowed the partner app to see one environment."""

    env_id: str
    id_token: str
    access_token: str
    authorized_by: str
    authorized_at_ms: int

    def metadata(self, partner_app_id: str) -> dict[str, str]:
        """Give it as the metadata endpoint does."""
        at = datetime.fromtimestamp(self.authorized_at_ms / 1000, UTC)
        return {
            "env_id": self.env_id,
            "partner_app_id": partner_app_id,
            "authorized_by": self.authorized_by,
            "authorized_scope": SCOPE,
            "authorized_at_utc": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }


@dataclass(frozen=True, slots=True)
class OAuthAnswer:
    """A status and a JSON document."""

    status: HTTPStatus
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Code:
    redirect_uri: str
    grant: Grant
    expires_at_ms: int


@dataclass(slots=True)
class PartnerOAuth:
    """Who allowed what.

    Attributes:
        app: the one partner there is; may be replaced.
        environments: names by environment id, as the authorize page offers them.
        new_id: gives a random text, each time another.
        grants: the newest grant of each environment.
    """

    app: PartnerApp
    environments: dict[str, str]
    new_id: Callable[[], str]
    grants: dict[str, Grant] = field(default_factory=dict)
    _codes: dict[str, _Code] = field(default_factory=dict)

    def refusal(self, request: AuthorizationRequest) -> str | None:
        """Give the address to send a browser to whose request has no page; None shows the page.

        Raises:
            NotRegistered: the client or the redirect address is not the registered one.
        """
        if request.client_id != self.app.client_id:
            raise NotRegistered("there is no such client_id")
        if request.redirect_uri != self.app.redirect_uri:
            raise NotRegistered("redirect_uri is not exactly the one registered")
        if request.response_type != "code":
            return request.back(error="unsupported_response_type")
        if request.scope != SCOPE:
            return request.back(error="invalid_scope")
        return None

    def deny(self, request: AuthorizationRequest) -> str:
        """Somebody clicked Deny; give where the browser goes."""
        return self.refusal(request) or request.back(error="access_denied")

    def allow(self, request: AuthorizationRequest, env_id: str, by: str, now_ms: int) -> str:
        """Somebody chose an environment and clicked Allow; give where the browser goes.

        Raises:
            NotRegistered: see `refusal`; or there is no such environment.
        """
        if refused := self.refusal(request):
            return refused
        if env_id not in self.environments:
            raise NotRegistered("choose an environment")
        code = self.new_id()
        grant = self.grant(env_id, by, now_ms)
        self._codes[code] = _Code(request.redirect_uri, grant, now_ms + CODE_MS)
        return request.back(code=code)

    def grant(self, env_id: str, by: str, now_ms: int, id_token: str | None = None) -> Grant:
        """Let the partner see an environment; its id_token stays the same when allowed again."""
        before = self.grants.get(env_id)
        id_token = id_token or (before.id_token if before else self.new_id())
        self.environments.setdefault(env_id, f"Environment {env_id}")
        grant = self.grants[env_id] = Grant(env_id, id_token, self.new_id(), by, now_ms)
        return grant

    def exchange(self, form: Mapping[str, Any], now_ms: int) -> OAuthAnswer:
        """Answer the token endpoint; a code is gone once it was presented by the right client."""
        if form.get("client_id") != self.app.client_id or not hmac.compare_digest(
            str(form.get("client_secret", "")).encode(), self.app.client_secret.encode()
        ):
            return _refused("invalid_client", HTTPStatus.UNAUTHORIZED)
        if form.get("grant_type") != "authorization_code":
            return _refused("unsupported_grant_type")
        code = self._codes.pop(str(form.get("code", "")), None)
        if code is None or code.expires_at_ms <= now_ms:
            return _refused("invalid_grant")
        if form.get("redirect_uri") != code.redirect_uri:
            return _refused("invalid_grant")
        tokens = {"id_token": code.grant.id_token, "access_token": code.grant.access_token}
        return OAuthAnswer(HTTPStatus.OK, {**tokens, "token_type": "bearer"})

    def metadata(self, id_token: str, bearer: str) -> OAuthAnswer:
        """Answer the metadata endpoint."""
        for grant in self.grants.values():
            if grant.id_token == id_token and bearer == grant.access_token:
                return OAuthAnswer(HTTPStatus.OK, grant.metadata(self.app.partner_app_id))
        return _refused("invalid_token", HTTPStatus.UNAUTHORIZED)


def _refused(error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> OAuthAnswer:
    return OAuthAnswer(status, {"error": error})
