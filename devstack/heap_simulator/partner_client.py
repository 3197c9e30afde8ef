"""A typed client of what a customer and a partner do in Heap's own pages."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson
from pydantic import TypeAdapter

from devstack.heap_simulator.control_client import TIMEOUT_SECONDS, ControlClient
from devstack.heap_simulator.oauth_endpoints import AUTHORIZE
from devstack.heap_simulator.partner_app import PartnerApp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devstack.heap_simulator.segment_model import Member, SyncOptions

PAGES_TIMEOUT_SECONDS = 600.0
"""How long a whole sync may take, beyond what its options say."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a sync; see `segment_sender.SendReport`."""

    pages: int
    delivered: int
    by_status: dict[str, int]
    undelivered: int
    last_position: str | None
    seconds: float


_SENT = TypeAdapter(Sent)


class PartnerClient(ControlClient):
    """Sets the partner app, clicks Allow, fills segments and lets them be sent."""

    def partner_app(self) -> PartnerApp:
        """The partner app as it is registered."""
        return PartnerApp.model_validate_json(self._call("GET", "/_sim/partner-app"))

    def change_partner_app(self, **changes: str) -> PartnerApp:
        """Change the named fields of `PartnerApp`; tells all."""
        answer = self._call("PUT", "/_sim/partner-app", orjson.dumps(changes))
        return PartnerApp.model_validate_json(answer)

    def replace_environments(self, environments: Mapping[str, str]) -> None:
        """Let the authorize page offer these: names by environment id."""
        self._call("PUT", "/_sim/environments", orjson.dumps(environments))

    def grants(self) -> dict[str, str]:
        """The id_token of every environment that somebody allowed the partner app to see."""
        found: dict[str, str] = orjson.loads(self._call("GET", "/_sim/grants"))
        return found

    def grant(self, env_id: str, id_token: str | None = None) -> str:
        """Allow the partner app without a browser; gives the id_token of the environment."""
        order = orjson.dumps({"env_id": env_id, "id_token": id_token})
        answer: dict[str, str] = orjson.loads(self._call("POST", "/_sim/grants", order))
        return answer["id_token"]

    def spoil_oauth(self, endpoint: str, status: int) -> None:
        """Let the next call of `token` or `metadata` be answered like this, with no JSON."""
        order = orjson.dumps({"endpoint": endpoint, "status": status})
        self._call("PUT", "/_sim/oauth-faults", order)

    def decide(self, authorize_url: str, *, allow: bool = True, env_id: str = "") -> str:
        """Choose on the authorize page as a browser does; gives where it is sent to.

        Raises:
            CallerMistake: the page shows a refusal instead.
        """
        form = dict(parse_qsl(urlsplit(authorize_url).query))
        form |= {"decision": "allow" if allow else "deny", "env_id": env_id}
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_SECONDS)
        try:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            connection.request("POST", AUTHORIZE, urlencode(form), headers)
            response = connection.getresponse()
            self._check("POST", AUTHORIZE, response.status, response.read())
            return response.headers["location"] or ""
        finally:
            connection.close()

    def deletions(self) -> list[dict[str, Any]]:
        """Whom Heap was asked to delete: `app_id` and `users` of each request."""
        found: list[dict[str, Any]] = orjson.loads(self._call("GET", "/_sim/deletions"))
        return found

    def set_segment(
        self, env_id: str, segment_id: str, **settings: str | float | bool | None
    ) -> dict[str, Any]:
        """Change fields of `SegmentSettings`, made where it is new; turned on unless said."""
        wanted = orjson.dumps({"enabled": True, **settings})
        answer: dict[str, Any] = orjson.loads(self._call("PUT", _path(env_id, segment_id), wanted))
        return answer

    def segment(self, env_id: str, segment_id: str) -> dict[str, Any]:
        """Its settings, and counts: `members`, `told`, `late_pages`, `syncs`."""
        answer: dict[str, Any] = orjson.loads(self._call("GET", _path(env_id, segment_id)))
        return answer

    def segments(self) -> list[dict[str, Any]]:
        """The same of all."""
        answer: list[dict[str, Any]] = orjson.loads(self._call("GET", "/_sim/segments"))
        return answer

    def set_members(self, env_id: str, segment_id: str, users: Iterable[Member]) -> None:
        """Let exactly these users be in."""
        body = orjson.dumps({"users": list(users)})
        self._call("PUT", _path(env_id, segment_id) + "/members", body)

    def number_members(
        self, env_id: str, segment_id: str, count: int, *, first: int = 0, prefix: str = "user-"
    ) -> None:
        """Let exactly `prefix` + number be in, for `count` numbers."""
        body = orjson.dumps({"numbered": {"prefix": prefix, "first": first, "count": count}})
        self._call("PUT", _path(env_id, segment_id) + "/members", body)

    def change_members(
        self,
        env_id: str,
        segment_id: str,
        *,
        add: Iterable[Member] = (),
        remove: Iterable[str | int] = (),
    ) -> None:
        """Let some enter and others leave."""
        body = orjson.dumps({"add": {"users": list(add)}, "remove": {"users": list(remove)}})
        self._call("POST", _path(env_id, segment_id) + "/members", body)

    def sync(self, env_id: str, segment_id: str, options: SyncOptions | None = None) -> Sent:
        """Send what changed since the last sync, and wait until it is taken or given up."""
        return self._send(env_id, segment_id, "sync", options)

    def drain(self, env_id: str, segment_id: str, options: SyncOptions | None = None) -> Sent:
        """Send that everybody is out."""
        return self._send(env_id, segment_id, "drain", options)

    def send_late(self, env_id: str, segment_id: str, options: SyncOptions | None = None) -> Sent:
        """Send the pages that were kept back or that nobody took."""
        return self._send(env_id, segment_id, "late", options)

    def advance_schedule(self, seconds: float) -> None:
        """Put the schedule of recurring syncs forward."""
        self._call("PUT", "/_sim/clock", orjson.dumps({"advance_seconds": seconds}))

    def _send(self, env_id: str, segment_id: str, what: str, options: SyncOptions | None) -> Sent:
        body = b"{}" if options is None else options.model_dump_json().encode()
        path = f"{_path(env_id, segment_id)}/{what}"
        return _SENT.validate_json(self._call("POST", path, body, PAGES_TIMEOUT_SECONDS))


def _path(env_id: str, segment_id: str) -> str:
    return f"/_sim/segments/{quote(env_id, safe='')}/{quote(segment_id, safe='')}"
