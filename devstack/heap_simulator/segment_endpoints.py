"""`/_sim/segments/…` and the rest of what a customer does in Heap's own pages, as plain HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from devstack.heap_simulator.control_answers import json_answer, refusing_nonsense
from devstack.heap_simulator.oauth_endpoints import SIGNED_IN_AS
from devstack.heap_simulator.segment_model import NotTurnedOn, SegmentSettings, SyncOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from devstack.heap_simulator.http_messages import Answer, Request
    from devstack.heap_simulator.router import Router
    from devstack.heap_simulator.segment_model import Segment
    from devstack.heap_simulator.segment_sender import SendReport
    from devstack.heap_simulator.segment_syncs import SegmentSyncs
    from devstack.heap_simulator.world import SimulatedHeap

_Model = TypeVar("_Model", bound=BaseModel)
ONE = "/_sim/segments/{env_id}/{segment_id}"


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownUser(BaseModel):
    """A user with properties; `identity` is the one that every user has."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str | int] = Field(init=False)

    identity: str | int


class NumberedUsers(_Closed):
    """Made-up users `prefix` + number, so that a million need not travel."""

    prefix: str = "user-"
    first: int = 0
    count: int = Field(ge=0)

    def users(self) -> Iterator[str]:
        """Give them."""
        return (f"{self.prefix}{each}" for each in range(self.first, self.first + self.count))


class Users(_Closed):
    """Some users."""

    users: list[str | int | KnownUser] = Field(default_factory=list)
    numbered: NumberedUsers = NumberedUsers(count=0)

    def all(self) -> Iterator[str | int | dict[str, Any]]:
        """Give them, as the model of segments takes them."""
        for each in self.users:
            yield each.model_dump() if isinstance(each, KnownUser) else each
        yield from self.numbered.users()

    def identities(self) -> Iterator[str | int]:
        """Give their identities."""
        for each in self.all():
            yield each["identity"] if isinstance(each, dict) else each


class MemberChanges(_Closed):
    """Who enters and who leaves."""

    add: Users = Users()
    remove: Users = Users()


class GrantOrder(_Closed):
    """An Allow without the authorize page."""

    env_id: str
    id_token: str | None = None
    authorized_by: str = SIGNED_IN_AS


class SpoiltAnswer(_Closed):
    """How the next call of an endpoint of OAuth is answered."""

    endpoint: Literal["token", "metadata"]
    status: int = Field(ge=200, le=599)


class ClockOrder(_Closed):
    """Put the schedule of recurring syncs forward."""

    advance_seconds: float = Field(ge=0)


class SegmentEndpoints:
    """Reads and changes the partner app, what was allowed, and segments."""

    def __init__(self, heap: SimulatedHeap, syncs: SegmentSyncs) -> None:
        self._heap = heap
        self._syncs = syncs

    def add_to(self, router: Router) -> None:
        """Register every endpoint."""
        for method, path, handler in (
            ("GET", "/_sim/partner-app", self._partner_app),
            ("PUT", "/_sim/partner-app", self._change_partner_app),
            ("GET", "/_sim/environments", self._environments),
            ("PUT", "/_sim/environments", self._replace_environments),
            ("GET", "/_sim/grants", self._grants),
            ("POST", "/_sim/grants", self._grant),
            ("PUT", "/_sim/oauth-faults", self._spoil),
            ("PUT", "/_sim/clock", self._advance),
            ("GET", "/_sim/segments", self._list),
            ("GET", ONE, self._show),
            ("PUT", ONE, self._change),
            ("DELETE", ONE, self._remove),
            ("PUT", ONE + "/members", self._replace_members),
            ("POST", ONE + "/members", self._change_members),
        ):
            router.add(method, path, refusing_nonsense(handler))
        for name, send in (
            ("sync", self._syncs.sync),
            ("drain", self._syncs.drain),
            ("late", self._syncs.send_late),
        ):
            router.add("POST", f"{ONE}/{name}", refusing_nonsense(self._sending(send)))

    def _partner_app(self, _request: Request) -> Answer:
        return json_answer(self._heap.oauth.app.model_dump())

    def _change_partner_app(self, request: Request) -> Answer:
        self._heap.oauth.app = _merged(self._heap.oauth.app, request)
        return self._partner_app(request)

    def _environments(self, _request: Request) -> Answer:
        return json_answer(self._heap.oauth.environments)

    def _replace_environments(self, request: Request) -> Answer:
        environments = orjson.loads(request.body)
        if not isinstance(environments, dict):
            return _refusal("send an object: names by environment id")
        self._heap.oauth.environments = {key: str(name) for key, name in environments.items()}
        return self._environments(request)

    def _grants(self, _request: Request) -> Answer:
        grants = self._heap.oauth.grants.values()
        return json_answer({each.env_id: each.id_token for each in grants})

    def _grant(self, request: Request) -> Answer:
        order = GrantOrder.model_validate_json(request.body)
        grant = self._heap.oauth.grant(
            order.env_id, order.authorized_by, self._heap.clock.epoch_ms(), order.id_token
        )
        return json_answer({"id_token": grant.id_token, "access_token": grant.access_token})

    def _spoil(self, request: Request) -> Answer:
        order = SpoiltAnswer.model_validate_json(request.body)
        self._heap.spoilt_oauth[order.endpoint] = order.status
        return json_answer(self._heap.spoilt_oauth)

    def _advance(self, request: Request) -> Answer:
        order = ClockOrder.model_validate_json(request.body)
        self._heap.schedule_ahead_seconds += order.advance_seconds
        return json_answer({"ahead_seconds": self._heap.schedule_ahead_seconds})

    def _list(self, _request: Request) -> Answer:
        return json_answer([_segment_report(each) for each in self._heap.segments])

    def _show(self, request: Request) -> Answer:
        segment = self._known(request)
        return _unknown() if segment is None else json_answer(_segment_report(segment))

    def _change(self, request: Request) -> Answer:
        before = self._known(request)
        settings = _merged(before.settings if before else SegmentSettings(), request)
        segment = self._heap.segments.make(**request.parameters)
        segment.change_settings(settings)
        return json_answer(_segment_report(segment))

    def _remove(self, request: Request) -> Answer:
        self._heap.segments.remove(**request.parameters)
        return json_answer({})

    def _replace_members(self, request: Request) -> Answer:
        users = Users.model_validate_json(request.body)
        segment = self._heap.segments.make(**request.parameters)
        segment.members = {}
        segment.put(users.all())
        return json_answer(_segment_report(segment))

    def _change_members(self, request: Request) -> Answer:
        changes = MemberChanges.model_validate_json(request.body)
        segment = self._heap.segments.make(**request.parameters)
        segment.put(changes.add.all())
        segment.drop(changes.remove.identities())
        return json_answer(_segment_report(segment))

    def _sending(
        self, send: Callable[[Segment, SyncOptions], Awaitable[SendReport]]
    ) -> Callable[[Request], Awaitable[Answer]]:
        async def answer(request: Request) -> Answer:
            options = SyncOptions.model_validate_json(request.body or b"{}")
            segment = self._known(request)
            if segment is None:
                return _unknown()
            try:
                return json_answer(_send_report(await send(segment, options)))
            except NotTurnedOn as error:
                return _refusal(str(error), HTTPStatus.CONFLICT)

        return answer

    def _known(self, request: Request) -> Segment | None:
        return self._heap.segments.get(**request.parameters)


def _merged(before: _Model, request: Request) -> _Model:
    changes = orjson.loads(request.body)
    merged = before.model_dump() | (changes if isinstance(changes, dict) else {"": changes})
    return type(before).model_validate(merged)


def _refusal(reason: str, status: int = HTTPStatus.BAD_REQUEST) -> Answer:
    return json_answer({"error": reason}, status=status)


def _unknown() -> Answer:
    return _refusal("there is no such segment: PUT it first", HTTPStatus.NOT_FOUND)


def _segment_report(segment: Segment) -> dict[str, Any]:
    return {
        "env_id": segment.env_id,
        "segment_id": segment.segment_id,
        **segment.settings.model_dump(),
        "members": len(segment.members),
        "told": len(segment.told),
        "late_pages": len(segment.late),
        "syncs": segment.syncs,
    }


def _send_report(report: SendReport) -> dict[str, Any]:
    return {
        "pages": report.pages,
        "delivered": report.delivered,
        "by_status": report.by_status,
        "undelivered": len(report.undelivered),
        "last_position": report.last_position,
        "seconds": report.seconds,
    }
