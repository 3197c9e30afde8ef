"""Who is signed in to the console: a signed cookie, a token for every form, few tries.

The cookie names the API token it was signed in with and is signed with a key of this process: a
restart signs everybody out, and nothing has to be kept. A form carries a second text derived from
the cookie (a signed double submit; OWASP, CSRF prevention cheat sheet), which no other site can
know. Browsers do not send the cookie along from other sites either (`SameSite=Strict`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from itsdangerous import BadData, URLSafeTimedSerializer

from web.problems import Problem
from web.tokens import ANYONE, Caller, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request
    from starlette.responses import Response

    from heapline.clock import Clock
    from web.tokens import Tokens

COOKIE: Final = "heapline_console"
FORM_FIELD: Final = "form_token"
SESSION_SECONDS: Final = 12 * 3_600
TRIES: Final = 10
TRIES_SECONDS: Final = 300.0
_ANYONE_SESSION: Final = "anyone"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at a browser.

    Attributes:
        caller: whose token it is.
        form_token: what every form of this session carries.
        signed_in: False where no token is needed here.
    """

    caller: Caller
    form_token: str
    signed_in: bool = True

    @property
    def may_operate(self) -> bool:
        """Whether switches and buttons work."""
        return self.caller.may("operate")


class Sessions:
    """Signs in, checks cookies and forms.

    Args:
        tokens: the API tokens that are good here.
        clock: for the number of tries.
        secure: whether browsers may send the cookie over HTTPS only.
    """

    def __init__(self, tokens: Tokens, clock: Clock, *, secure: bool) -> None:
        self._tokens = tokens
        self._clock = clock
        self._secure = secure
        self._key = secrets.token_bytes(32)
        self._serializer = URLSafeTimedSerializer(self._key, salt="heapline-console")
        self._tries: dict[str, deque[float]] = {}

    def of(self, request: Request) -> Session | None:
        """Give who asks, or None where somebody has to sign in first.

        Raises:
            Problem: 421 where a page of another site reaches a server that needs no token.
        """
        if not self._tokens.needed:
            if not is_loopback(request.url.hostname or ""):
                raise Problem(421, "foreign-host", "the console answers to localhost only")
            return Session(ANYONE, self._form_token(_ANYONE_SESSION), signed_in=False)
        cookie = request.cookies.get(COOKIE, "")
        try:
            name = self._serializer.loads(cookie, max_age=SESSION_SECONDS)
        except BadData:
            return None
        caller = self._tokens.named(str(name))
        return None if caller is None else Session(caller, self._form_token(cookie))

    def sign_in(self, token: str, address: str, response: Response) -> bool:
        """Sign in with an API token; False where it is not good for the console.

        Args:
            token: as typed.
            address: where the browser is, for the number of tries.
            response: gets the cookie.

        Raises:
            Problem: 429 after too many tries from there.
        """
        self._count_try(address)
        caller = self._tokens.caller(token)
        if caller is None or not caller.may("read"):
            return False
        self._tries.pop(address, None)
        cookie = self._serializer.dumps(caller.name)
        response.set_cookie(
            COOKIE,
            str(cookie),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return True

    def check_form(self, session: Session, form: Mapping[str, object]) -> None:
        """See that a form was made for this session.

        Raises:
            Problem: 403, it was not.
        """
        given = str(form.get(FORM_FIELD, ""))
        if not hmac.compare_digest(given.encode("utf-8", "replace"), session.form_token.encode()):
            raise Problem(
                403, "stale-form", "this form is not of your session: load the page again"
            )

    def _form_token(self, cookie: str) -> str:
        return hmac.digest(self._key, b"form " + cookie.encode(), hashlib.sha256).hex()

    def _count_try(self, address: str) -> None:
        now = self._clock.monotonic()
        if len(self._tries) > 10 * TRIES_SECONDS:
            self._tries.clear()  # somebody plays with addresses: memory stays bounded
        tries = self._tries.setdefault(address, deque())
        while tries and now - tries[0] > TRIES_SECONDS:
            tries.popleft()
        if len(tries) >= TRIES:
            wait = str(round(TRIES_SECONDS - (now - tries[0])) + 1)
            raise Problem(
                429,
                "too-many-tries",
                "too many tries to sign in: wait a few minutes",
                headers={"Retry-After": wait},
            )
        tries.append(now)
