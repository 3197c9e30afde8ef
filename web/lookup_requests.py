"""What a lookup asks, read from its query or its body; one mistake never costs more than a 4xx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from heapline.memberships import Audience, InvalidAudience
from heapline.memberships.members_page import MEMBERS_A_PAGE
from heapline.memberships.segments import id_text
from web.body import JSON, read_body
from web.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

    from heapline.settings import WebSettings

_MOST_ERRORS: Final = 20
"""A problem lists no more: a body of a million mistakes is answered briefly."""


class MembersAsked(NamedTuple):
    """Which members.

    Attributes:
        cursor: where to go on; None from the start.
        limit: how many.
    """

    cursor: str | None
    limit: int


class PairsAsked(NamedTuple):
    """Users and segments, in two columns of one length."""

    users: list[str]
    segments: list[str]


class AudienceAsked(NamedTuple):
    """An audience, and the users it is asked about."""

    audience: Audience
    users: list[str]


def members_asked(request: Request, settings: WebSettings) -> MembersAsked:
    """Read the query of a list of members.

    Raises:
        Problem: 422 where `limit` is no number from 1 to the most allowed.
    """
    query = request.query_params
    most = settings.max_members_per_page
    written = query.get("limit")
    if written is None:
        return MembersAsked(query.get("cursor"), min(MEMBERS_A_PAGE, most))
    if not (written.isascii() and written.isdecimal() and len(written) <= len(str(most))):
        written = "0"
    if not 1 <= int(written) <= most:
        raise _unfit([("query.limit", f"must be a number from 1 to {most}")])
    return MembersAsked(query.get("cursor"), int(written))


async def pairs_asked(request: Request, settings: WebSettings) -> PairsAsked:
    """Read the body of `memberships:check`.

    Raises:
        Problem: 400, 413, 415 or 422.
    """
    body = await _object(request, settings)
    pairs = _list(body, "pairs", settings.max_pairs_per_check)
    return _texts(pairs) or _ids(pairs)


def _texts(pairs: list[Any]) -> PairsAsked | None:
    """Take pairs of texts apart, the quick way; None where there are others among them."""
    try:
        users = [pair["user"] for pair in pairs]
        segments = [pair["segment"] for pair in pairs]
    except (TypeError, KeyError):
        return None
    return (
        PairsAsked(users, segments) if {*map(type, users), *map(type, segments)} == {str} else None
    )


def _ids(pairs: list[Any]) -> PairsAsked:
    users: list[str] = []
    segments: list[str] = []
    wrong: list[tuple[str, str]] = []
    for at, pair in enumerate(pairs):
        if not isinstance(pair, dict):
            wrong.append((f"body.pairs.{at}", "must be an object"))
            continue
        user, segment = id_text(pair.get("user")), id_text(pair.get("segment"))
        if user is None:
            wrong.append((f"body.pairs.{at}.user", _NO_ID))
        elif segment is None:
            wrong.append((f"body.pairs.{at}.segment", _NO_ID))
        else:
            users.append(user)
            segments.append(segment)
    if wrong:
        raise _unfit(wrong)
    return PairsAsked(users, segments)


async def evaluation_asked(request: Request, settings: WebSettings) -> AudienceAsked:
    """Read the body of `audiences:evaluate`.

    Raises:
        Problem: 400, 413, 415 or 422.
    """
    body = await _object(request, settings)
    given = _list(body, "users", settings.max_users_per_evaluation)
    users = [id_text(each) for each in given]
    wrong = [(f"body.users.{at}", _NO_ID) for at, user in enumerate(users) if user is None]
    if wrong:
        raise _unfit(wrong)
    return AudienceAsked(_audience(body), [user for user in users if user is not None])


async def count_asked(request: Request, settings: WebSettings) -> Audience:
    """Read the body of `audiences:count`.

    Raises:
        Problem: 400, 413, 415 or 422.
    """
    return _audience(await _object(request, settings))


async def _object(request: Request, settings: WebSettings) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON and not media_type.endswith("+json"):
        raise Problem(415, "unsupported-media-type", f"send `Content-Type: {JSON}`")
    written = await read_body(request, settings.max_body_bytes)
    try:
        body = orjson.loads(written)
    except orjson.JSONDecodeError as error:
        detail = f"the body is not JSON (RFC 8259) at line {error.lineno}, column {error.colno}"
        raise Problem(400, "not-json", detail) from None
    if not isinstance(body, dict):
        raise _unfit([("body", "must be an object")])
    return body


def _list(body: dict[str, Any], name: str, most: int) -> list[Any]:
    given = body.get(name)
    if not isinstance(given, list):
        raise _unfit([(f"body.{name}", "must be a list")])
    if len(given) > most:
        raise Problem(
            413, f"too-many-{name}", f"at most {most} {name} in one request: ask in several"
        )
    return given


def _audience(body: dict[str, Any]) -> Audience:
    if "audience" not in body:
        raise _unfit([("body.audience", "is missing")])
    try:
        return Audience.parse(body["audience"])
    except InvalidAudience as error:
        what = str(error).removeprefix(f"{error.path}: ")
        raise Problem(
            422,
            "invalid-audience",
            "the audience is not of Command AI's shape; `errors` says where",
            errors=[{"where": f"body.{error.path}", "message": what}],
        ) from None


def _unfit(wrong: list[tuple[str, str]]) -> Problem:
    errors = [{"where": where, "message": message} for where, message in wrong[:_MOST_ERRORS]]
    detail = "the request does not fit; `errors` says where"
    return Problem(422, "invalid-request", detail, errors=errors)


_NO_ID: Final = "must be an id, as text or a whole number"
