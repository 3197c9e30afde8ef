"""Heap's user deletion: Basic credentials for a token, a request, and its status.

`POST /api/public/v0/auth_token`, `POST …/user_deletion` (up to 10,000 users), `GET
…/deletion_status/:id` (Heap, User Deletion reference). Always at `heapanalytics.com`, whatever the
region. A token is good for five minutes; the API key belongs to the main production environment.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from heapline.errors import CallerMistake, HeapUnavailable
from heapline.heap.connection import Region
from heapline.heap.track import HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.http import Answer, HttpClient
    from heapline.settings import HeapSettings
    from heapline.words import AppId, UserId

AUTH_TOKEN: Final = "/api/public/v0/auth_token"  # noqa: S105 -- a path
USER_DELETION: Final = "/api/public/v0/user_deletion"
DELETION_STATUS: Final = "/api/public/v0/deletion_status/"
_OK: Final = (200, 201)
_UNAUTHORIZED: Final = 401
_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


class DeletionRefused(CallerMistake):
    """Heap does not take the request; the message says what to check."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A request that Heap took.

    Attributes:
        request_id: asks for its status.
        status: Heap's word, `pending` or `complete`.
    """

    request_id: str
    status: str


class HeapDeletion:
    """Deletes users in Heap."""

    def __init__(self, http: HttpClient, settings: HeapSettings) -> None:
        self._http = http
        self._base = (settings.api_url or HOSTS[Region.US]).rstrip("/")
        self._keys = settings.deletion_keys

    def delete(self, app_id: AppId, user: UserId) -> Deletion:
        """Ask Heap to delete one user and all of their data, in all environments of the account.

        Raises:
            DeletionRefused: no key, or Heap does not take it.
            HeapUnavailable: no answer, or not one with sense; the same again is harmless.
        """
        token = self._token(app_id)
        body = orjson.dumps({"users": [{"identity": user}]})
        document = self._document("POST", USER_DELETION, f"Bearer {token}", body)
        status = str(document.get("status") or "pending")
        asked = Deletion(_text(document, "deletion_request_id"), status)
        path = DELETION_STATUS + quote(asked.request_id, safe="")
        now = self._document("GET", path, f"Bearer {token}")
        return Deletion(asked.request_id, str(now.get("status") or status))

    def status(self, app_id: AppId, request_id: str) -> Deletion:
        """Ask how far an earlier request has come; raises as `delete` does."""
        path = DELETION_STATUS + quote(request_id, safe="")
        document = self._document("GET", path, f"Bearer {self._token(app_id)}")
        return Deletion(request_id, str(document.get("status") or "pending"))

    def _token(self, app_id: AppId) -> str:
        key = self._keys.get(app_id)
        if key is None:
            raise DeletionRefused(
                f"no API key for app {app_id}: Heap shows it under Account, Manage, Privacy & "
                f"""Security; set HEAPLINE_HEAP__DELETION_KEYS='{{"{app_id}": "<key>"}}'"""
            )
        credentials = f"{app_id}:{key.get_secret_value()}".encode()
        basic = f"Basic {base64.b64encode(credentials).decode()}"
        return _text(self._document("POST", AUTH_TOKEN, basic), "access_token")

    def _document(
        self, method: str, path: str, authorization: str, body: bytes = b""
    ) -> Mapping[str, Any]:
        headers = {"authorization": authorization, "content-type": "application/json"}
        answer = self._http.request(method, self._base + path, body=body, headers=headers)
        if answer.status not in _OK:
            raise _refusal(answer, path)
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise HeapUnavailable("Heap's answer is no JSON object")
        return document


def _refusal(answer: Answer, path: str) -> HeapUnavailable | DeletionRefused:
    status = answer.status
    if status is None:
        return HeapUnavailable(f"Heap does not answer: {answer.error}")
    if status in _LATER or status >= _SERVER_ERROR:
        return HeapUnavailable(f"Heap answers {status}")
    if status == _UNAUTHORIZED:
        return DeletionRefused(
            "Heap does not take the API key: it must be that of the main production environment, "
            "under that environment's app id (HEAPLINE_HEAP__DELETION_KEYS)"
        )
    return DeletionRefused(f"Heap answers {status} to {path}")


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
        raise HeapUnavailable(f"Heap's answer has no usable {name}")
    return str(value)
