"""Addresses of lookups, taken apart before they are decoded: an id may hold a slash."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from web.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Scope

PREFIX: Final = "/v1/workspaces/"


class Operation(StrEnum):
    """What may be asked; named as in the OpenAPI description."""

    LIST_SEGMENTS = "list_segments"
    LIST_MEMBERS = "list_members"
    IS_MEMBER = "is_member"
    SEGMENTS_OF_USER = "segments_of_user"
    CHECK_MEMBERSHIPS = "check_memberships"
    EVALUATE_AUDIENCE = "evaluate_audience"
    COUNT_AUDIENCE = "count_audience"


class Place(NamedTuple):
    """Where an operation stands.

    Attributes:
        method: of HTTP.
        path: behind the workspace; `{…}` stands for an id.
    """

    method: str
    path: str


PLACES: Final = {
    Operation.LIST_SEGMENTS: Place("GET", "segments"),
    Operation.LIST_MEMBERS: Place("GET", "segments/{segment}/members"),
    Operation.IS_MEMBER: Place("GET", "segments/{segment}/members/{user}"),
    Operation.SEGMENTS_OF_USER: Place("GET", "users/{user}/segments"),
    Operation.CHECK_MEMBERSHIPS: Place("POST", "memberships:check"),
    Operation.EVALUATE_AUDIENCE: Place("POST", "audiences:evaluate"),
    Operation.COUNT_AUDIENCE: Place("POST", "audiences:count"),
}


class Address(NamedTuple):
    """What one request asks about.

    Attributes:
        operation: the question.
        workspace: whose.
        ids: those in the path, in its order.
    """

    operation: Operation
    workspace: str
    ids: tuple[str, ...]


def template(operation: Operation) -> str:
    """Give the whole path with `{…}` for each id, as OpenAPI writes it."""
    return f"{PREFIX}{{workspace}}/{PLACES[operation].path}"


def _shape(parts: list[str]) -> tuple[str, ...]:
    """Give what tells paths apart: every second part, and how many there are."""
    return (*parts[::2], str(len(parts)))


_BY_SHAPE: Final[dict[tuple[str, ...], Operation]] = {
    _shape(place.path.split("/")): operation for operation, place in PLACES.items()
}


def address_of(scope: Scope) -> Address:
    """Read a request's address.

    Raises:
        Problem: 404 for another address, 405 for another method, 400 for an id that is not UTF-8.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0]
    _, _, asked = path.partition(PREFIX.encode())
    try:
        workspace, *parts = [_decoded(part) for part in asked.split(b"/")]
    except UnicodeDecodeError:
        raise Problem(
            400, "not-utf8", "an id in this address is not percent-encoded UTF-8"
        ) from None
    operation = _BY_SHAPE.get(_shape(parts))
    if operation is None:
        raise Problem(
            404, "not-found", "there is nothing at this address; /openapi.json lists what there is"
        )
    method = PLACES[operation].method
    if scope["method"] != method:
        raise Problem(
            405,
            "method-not-allowed",
            "this address does not take that method; see the Allow header",
            headers={"Allow": method},
        )
    return Address(operation, workspace, tuple(parts[1::2]))


def _decoded(part: bytes) -> str:
    return (unquote_to_bytes(part) if b"%" in part else part).decode()
