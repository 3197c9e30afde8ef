"""Heap's OAuth for partners: the authorize page, the token, and what it says about a connection.

After heap/heap-api-reference and developers.heap.io ("Creating a new Heap integration"). The access
token never leaves this module: it is used once, to ask whom it was given by, and is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from heapline.errors import CallerMistake, HeapUnavailable, InvalidSetting
from heapline.heap.connection import Region
from heapline.heap.retry_after import retry_after_seconds
from heapline.heap.track import HOSTS
from heapline.words import AppId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.clock import Clock
    from heapline.http import Answer, HttpClient
    from heapline.settings import Settings

AUTHORIZE: Final = "/api/partner/oauth/authorize"
TOKEN: Final = "/api/partner/oauth/token"  # noqa: S105 -- a path
METADATA: Final = "/api/partner/v1/metadata/"
CALLBACK: Final = "/heap/callback"
SCOPE: Final = "segment"
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_LONGEST: Final = 4_096


class GrantRefused(CallerMistake):
    """Heap does not take the code: it was used before, is too old, or was never given."""


@dataclass(frozen=True, slots=True)
class PartnerSettings:
    """This installation's registration at Heap.

    Attributes:
        client_id, client_secret: from Heap's Developers Hub.
        public_url: how browsers reach this server, without a slash at the end.
        heap_url: where Heap is.
    """

    client_id: str
    client_secret: bytes
    public_url: str
    heap_url: str

    @property
    def redirect_uri(self) -> str:
        """The address registered at Heap; must be the same to the letter, without a query."""
        return self.public_url + CALLBACK

    @classmethod
    def of(cls, settings: Settings) -> PartnerSettings:
        """Read the settings.

        Raises:
            InvalidSetting: one is missing or not usable; names it.
        """
        problems = partner_problems(settings)
        if problems:
            raise InvalidSetting("\n".join(problems))
        heap, secret = settings.heap, settings.heap.client_secret
        assert heap.client_id  # noqa: S101 -- see `partner_problems`
        assert secret  # noqa: S101 -- as above
        return cls(
            heap.client_id,
            secret.get_secret_value().encode("utf-8"),
            (settings.web.public_url or "").rstrip("/"),
            (heap.api_url or HOSTS[Region.US]).rstrip("/"),
        )


def partner_problems(settings: Settings) -> list[str]:
    """Give what keeps workspaces from being connected, each with the setting's name."""
    heap, public = settings.heap, settings.web.public_url
    found = []
    if not heap.client_id:
        found.append("HEAPLINE_HEAP__CLIENT_ID is not set: Heap's Developers Hub shows it")
    if heap.client_secret is None or not heap.client_secret.get_secret_value():
        found.append(
            "HEAPLINE_HEAP__CLIENT_SECRET is not set: Heap's Developers Hub shows it; it is not "
            "the webhook's secret"
        )
    if not public:
        found.append(
            "HEAPLINE_WEB__PUBLIC_URL is not set: the address under which browsers and Heap reach "
            "this server, for example https://heapline.example.com"
        )
    elif not _usable(public):
        found.append(
            "HEAPLINE_WEB__PUBLIC_URL must be http(s)://host[:port][/path], without query or "
            f"fragment: Heap sends browsers to it with {CALLBACK} after it"
        )
    return found


def _usable(url: str) -> bool:
    where = urlsplit(url)
    plain = not (where.query or where.fragment or where.username or "?" in url or "#" in url)
    return where.scheme in {"http", "https"} and bool(where.hostname) and plain


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody allowed in Heap.

    Attributes:
        id_token: by which Heap's webhook names this customer.
        env_id: the environment, which is the `app_id` of the tracking API.
        partner_app_id: Heap's id of this installation's registration.
        allowed_by: who; empty where Heap does not say.
        allowed_at_ms: when, in milliseconds since 1970-01-01 UTC.
    """

    id_token: str
    env_id: AppId
    partner_app_id: str
    allowed_by: str
    allowed_at_ms: int


class HeapOAuth:
    """Talks to Heap in the installation's name; safe to share between threads."""

    def __init__(self, partner: PartnerSettings, http: HttpClient, clock: Clock) -> None:
        self._partner = partner
        self._http = http
        self._clock = clock

    def authorize_url(self, state: str) -> str:
        """Give the address of the page where a person chooses an environment and clicks Allow."""
        query = {
            "client_id": self._partner.client_id,
            "state": state,
            "response_type": "code",
            "redirect_uri": self._partner.redirect_uri,
            "scope": SCOPE,
        }
        return f"{self._partner.heap_url}{AUTHORIZE}?{urlencode(query)}"

    def grant(self, code: str) -> Grant:
        """Exchange a code, and ask what it stands for. A code is good once, whatever comes of it.

        Raises:
            GrantRefused: the code is not good (any more).
            InvalidSetting: Heap does not know this client id and secret.
            HeapUnavailable: no answer, or not one with sense.
        """
        tokens = self._document("POST", TOKEN, body=self._order(code))
        id_token, access_token = _text(tokens, "id_token"), _text(tokens, "access_token")
        path = METADATA + quote(id_token, safe="")
        metadata = self._document("GET", path, {"authorization": f"Bearer {access_token}"})
        allowed_at_ms = _epoch_ms(metadata.get("authorized_at_utc"))
        return Grant(
            id_token=id_token,
            env_id=AppId(_text(metadata, "env_id")),
            partner_app_id=_text(metadata, "partner_app_id"),
            allowed_by=str(metadata.get("authorized_by") or ""),
            allowed_at_ms=self._clock.epoch_ms() if allowed_at_ms is None else allowed_at_ms,
        )

    def _order(self, code: str) -> bytes:
        order = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._partner.redirect_uri,
            "client_id": self._partner.client_id,
            "client_secret": self._partner.client_secret.decode("utf-8"),
        }
        return orjson.dumps(order)

    def _document(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Mapping[str, Any]:
        url = self._partner.heap_url + path
        kind = {"content-type": "application/json"} if body else {}
        given = {"accept": "application/json", **kind, **(headers or {})}
        answer = self._http.request(method, url, body=body, headers=given)
        if answer.status != _OK:
            raise self._refusal(answer, "token" if path == TOKEN else "metadata")
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise HeapUnavailable("Heap's answer is no JSON object")
        return document

    def _refusal(self, answer: Answer, what: str) -> HeapUnavailable | CallerMistake:
        status = answer.status
        if status is None:
            return HeapUnavailable(f"Heap does not answer: {answer.error}")
        if status in _LATER or status >= _SERVER_ERROR:
            seconds = retry_after_seconds(answer.headers.get("retry-after"), self._clock.epoch_ms())
            return HeapUnavailable(f"Heap answers {status}", retry_after_seconds=seconds)
        if what == "token" and (status == _UNAUTHORIZED or b"invalid_client" in answer.body):
            return InvalidSetting(
                "Heap does not know this installation: check HEAPLINE_HEAP__CLIENT_ID and "
                "HEAPLINE_HEAP__CLIENT_SECRET against Heap's Developers Hub"
            )
        return GrantRefused(f"Heap does not take the {what} request (HTTP {status})")


def _text(document: Mapping[str, Any], name: str) -> str:
    """Give a member that must be there, an id as text."""
    value = document.get(name)
    is_id = isinstance(value, (str, int)) and not isinstance(value, bool)
    text = str(value) if is_id else ""
    if not (0 < len(text) <= _LONGEST and text.isprintable() and text == text.strip()):
        raise HeapUnavailable(f"Heap's answer has no usable {name}")
    return text


def _epoch_ms(value: object) -> int | None:
    """Read Heap's time; None where it cannot be read. A time without a zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    whole = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(whole.timestamp() * 1000)
