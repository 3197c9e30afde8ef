"""Bearer tokens (RFC 6750): who may do what, and where this server may listen without any."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from heapline.errors import InvalidSetting
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.settings import ApiToken, WebSettings

Role = Literal["publish", "read", "operate"]
_SUFFICES: Final[dict[Role, frozenset[Role]]] = {
    "publish": frozenset({"publish", "operate"}),
    "read": frozenset({"read", "operate"}),
    "operate": frozenset({"operate"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the token, for logs.
        role: what it may do; `operate` may do everything.
        workspaces: those it is good for; empty means all.
    """

    name: str
    role: Role
    workspaces: frozenset[str] = frozenset()

    def may(self, role: Role) -> bool:
        """Tell whether the caller may do what needs this role."""
        return self.role in _SUFFICES[role]

    def good_for(self, workspace: str) -> bool:
        """Tell whether the caller may touch a workspace."""
        return not self.workspaces or workspace in self.workspaces


ANYONE: Final = Caller("anyone", "operate")
"""Everybody on this machine, while no token is set."""


BEARER: Final = Depends(
    HTTPBearer(auto_error=False, description="One of HEAPLINE_WEB__API_TOKENS, once any is set.")
)
"""Tells OpenAPI that a route takes a token; `Guard` is what asks for it."""


class Tokens:
    """The tokens that are good here; only their SHA-256 is kept.

    A token is random and long, so a plain hash is enough: there is nothing to guess from it.
    """

    def __init__(self, tokens: Iterable[ApiToken]) -> None:
        self._callers = [
            (
                _digest(each.token.get_secret_value()),
                Caller(each.name, each.role, frozenset(each.workspaces)),
            )
            for each in tokens
        ]

    @property
    def needed(self) -> bool:
        """Whether any token is set; then every call needs one."""
        return bool(self._callers)

    def caller(self, token: str) -> Caller | None:
        """Give whose token this is; takes as long whichever it is."""
        given = _digest(token)
        found = None
        for digest, caller in self._callers:
            if hmac.compare_digest(digest, given):
                found = caller
        return found

    def named(self, name: str) -> Caller | None:
        """Give the caller whose token has this name."""
        return next((caller for _, caller in self._callers if caller.name == name), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Guard:
    """A FastAPI dependency: lets callers in who have the role, and gives who they are.

    The app's tokens are `app.state.tokens`.
    """

    def __init__(self, role: Role | None) -> None:
        self._role = role

    async def __call__(self, request: Request) -> Caller:
        """Give the caller.

        Raises:
            Problem: 401 without a good token, 403 without the role, 421 when a page of another
                site uses somebody's browser to reach a server that needs no token.
        """
        tokens: Tokens = request.app.state.tokens
        if not tokens.needed:
            _check_host(request)
            return ANYONE
        caller = tokens.caller(_bearer(request))
        if caller is None:
            raise Problem(
                401,
                "invalid-token",
                "this token is not good here; it is one of HEAPLINE_WEB__API_TOKENS",
                headers={"WWW-Authenticate": 'Bearer realm="heapline", error="invalid_token"'},
            )
        if self._role is not None and not caller.may(self._role):
            raise Problem(
                403,
                "insufficient-role",
                f"token {caller.name!r} has role {caller.role!r}, this needs {self._role!r}",
                headers={"WWW-Authenticate": 'Bearer realm="heapline", error="insufficient_scope"'},
            )
        return caller


MayPublish = Annotated[Caller, Depends(Guard("publish"))]
MayRead = Annotated[Caller, Depends(Guard("read"))]
MayAsk = Annotated[Caller, Depends(Guard(None))]
"""Whoever has any token."""


def _bearer(request: Request) -> str:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not token:
        raise Problem(
            401,
            "token-missing",
            "send `Authorization: Bearer TOKEN` with one of HEAPLINE_WEB__API_TOKENS",
            headers={"WWW-Authenticate": 'Bearer realm="heapline"'},
        )
    return token


def _check_host(request: Request) -> None:
    """Refuse names other than loopback's: DNS may point somebody's site at this machine."""
    host = request.headers.get("host")
    if not (_names_loopback(host) if host else is_loopback(request.url.hostname or "")):
        raise Problem(
            421,
            "foreign-host",
            "without HEAPLINE_WEB__API_TOKENS this server answers to localhost only",
        )


@lru_cache(maxsize=64)
def _names_loopback(host: str) -> bool:
    """Tell of a `Host` header, with or without a port; the same few are asked again and again."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine to itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listening(settings: WebSettings) -> None:
    """Refuse to listen where others can reach what nobody guards.

    Raises:
        InvalidSetting: the host is beyond loopback and no token is set.
    """
    if settings.api_tokens or is_loopback(settings.host):
        return
    raise InvalidSetting(
        f"refusing to listen on {settings.host!r} without tokens: set HEAPLINE_WEB__API_TOKENS, "
        """for example '[{"name":"shop","token":"<at least 16 random characters>","""
        """"role":"publish"}]', or HEAPLINE_WEB__HOST=127.0.0.1"""
    )
