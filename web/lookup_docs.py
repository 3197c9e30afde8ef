"""The OpenAPI description of lookups, which are no routes of FastAPI's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic.json_schema import models_json_schema

from heapline.kafka import position
from heapline.memberships.members_page import MEMBERS_A_PAGE
from web import lookup_models as models
from web.body import JSON
from web.lookup_paths import PLACES, Operation, template
from web.lookups import AS_OF_HEADER
from web.problems import documented

if TYPE_CHECKING:
    from pydantic import BaseModel

    from heapline.settings import WebSettings

REF: Final = "#/components/schemas/{model}"
_AT: Final = "2026-01-31T09:30:00.123Z"
_SEGMENT: Final = {
    "id": "7",
    "name": "Free customers",
    "member_count": 48211,
    "status": "complete",
    "rhythm": "recurring",
    "last_synced_at": _AT,
    "stale": False,
}
_AUDIENCE: Final = {
    "type": "rule_expression",
    "expression": {
        "type": "AND",
        "exprs": [
            {
                "type": "CONDITION",
                "condition": {"type": "heap", "operator": "is", "value": "7"},
            },
            {
                "type": "CONDITION",
                "condition": {"type": "heap", "operator": "isNot", "value": ["8", "9"]},
            },
        ],
    },
}


class _Text(NamedTuple):
    """What an operation is and takes, for people."""

    summary: str
    description: str
    answer: type[BaseModel]
    example: dict[str, Any]
    body: type[BaseModel] | None = None
    body_example: dict[str, Any] | None = None


_TEXTS: Final = {
    Operation.LIST_SEGMENTS: _Text(
        "List a workspace's segments",
        "Those without members too.",
        models.SegmentList,
        {"segments": [_SEGMENT]},
    ),
    Operation.LIST_MEMBERS: _Text(
        "List a segment's members",
        "In pages. Whoever is a member from the first page to the last is listed exactly once, "
        "though the segment changes meanwhile.",
        models.MembersPage,
        {"members": ["u-1", "u-2"], "next_cursor": "1-2", "segment": _SEGMENT},
    ),
    Operation.IS_MEMBER: _Text(
        "Tell whether a user is in a segment",
        "A user never seen is in none. A stale or partial segment is answered, and says so.",
        models.Membership,
        {"member": True, "entered_at": _AT, "segment": _SEGMENT},
    ),
    Operation.SEGMENTS_OF_USER: _Text(
        "List the segments a user is in",
        "A user never seen is in none.",
        models.UserSegments,
        {
            "segments": [
                {"id": "7", "name": "Free customers", "entered_at": _AT, "stale": False},
            ],
            "doubtful": [],
        },
    ),
    Operation.CHECK_MEMBERSHIPS: _Text(
        "Check many pairs of user and segment",
        "All of one moment.",
        models.CheckedPairs,
        {"results": [{"user": "u-1", "segment": "7", "member": True}], "doubtful": []},
        models.PairsToCheck,
        {"pairs": [{"user": "u-1", "segment": "7"}]},
    ),
    Operation.EVALUATE_AUDIENCE: _Text(
        "Tell which users are in an audience",
        "Three-valued: a user is undecided where conditions that are not on Heap segments, or on "
        "segments nobody knows, would settle it; `unresolved` lists them.",
        models.EvaluatedUsers,
        {
            "results": [{"user": "u-1", "result": "match", "unresolved": []}],
            "doubtful": [],
        },
        models.AudienceToEvaluate,
        {"audience": _AUDIENCE, "users": ["u-1"]},
    ),
    Operation.COUNT_AUDIENCE: _Text(
        "Count an audience",
        "Among the users who are in at least one segment of the workspace.",
        models.CountedAudience,
        {"match": 1204, "no_match": 47007, "undecided": 0, "unresolved": [], "doubtful": []},
        models.AudienceToCount,
        {"audience": _AUDIENCE},
    ),
}
_ID: Final = {"type": "string", "minLength": 1}
_PARAMETERS: Final = {
    "workspace": {"description": "The Command AI organisation.", "example": "acme"},
    "segment": {"description": "Heap's id of the segment.", "example": "7"},
    "user": {"description": "The workspace's own id of the user.", "example": "u-1"},
}


def add_lookups(described: dict[str, Any], settings: WebSettings) -> None:
    """Add lookups to an OpenAPI description."""
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    found = models_json_schema(
        [(model, "validation") for model in models.MODELS], ref_template=REF
    )[1]
    schemas.update(found["$defs"])
    _bound(schemas["PairsToCheck"]["properties"]["pairs"], settings.max_pairs_per_check)
    _bound(schemas["AudienceToEvaluate"]["properties"]["users"], settings.max_users_per_evaluation)
    for operation, text in _TEXTS.items():
        method = PLACES[operation].method.lower()
        path = described["paths"].setdefault(template(operation), {})
        path[method] = _operation(operation, text, settings)


def _bound(schema: dict[str, Any], most: int) -> None:
    schema["maxItems"] = most


def _operation(operation: Operation, text: _Text, settings: WebSettings) -> dict[str, Any]:
    names = [part[1:-1] for part in template(operation).split("/") if part.startswith("{")]
    described: dict[str, Any] = {
        "tags": ["lookups"],
        "operationId": operation.value,
        "summary": text.summary,
        "description": text.description,
        "security": [{"HTTPBearer": []}],
        "parameters": [*(_path_parameter(name) for name in names), *_headers(operation)],
        "responses": _responses(operation, text),
    }
    if operation is Operation.LIST_MEMBERS:
        described["parameters"] += _paging(settings)
    if text.body is not None:
        content = {"schema": _reference(text.body), "example": text.body_example}
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"{_PARAMETERS[name]['description']} Percent-encoded, slashes too.",
        "example": _PARAMETERS[name]["example"],
        "schema": _ID,
    }


def _headers(operation: Operation) -> list[dict[str, Any]]:
    at_least = {
        "name": position.AT_LEAST_HEADER,
        "in": "header",
        "description": f"A {position.HEADER} this answer must have reached; waited for briefly.",
        "schema": {"type": "string"},
    }
    tag = {
        "name": "If-None-Match",
        "in": "header",
        "description": "An ETag; 304 where the answer is still of that generation.",
        "schema": {"type": "string"},
    }
    return [at_least, tag] if PLACES[operation].method == "GET" else [at_least]


def _paging(settings: WebSettings) -> list[dict[str, Any]]:
    most = settings.max_members_per_page
    default = min(MEMBERS_A_PAGE, most)
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return [
        {
            "name": "cursor",
            "in": "query",
            "description": "`next_cursor` of the page before; opaque.",
            "schema": {"type": "string"},
        },
        {"name": "limit", "in": "query", "description": "Members a page.", "schema": limit},
    ]


def _responses(operation: Operation, text: _Text) -> dict[str, Any]:
    is_get = PLACES[operation].method == "GET"
    told = {
        position.HEADER: "How far this answer has come; opaque.",
        AS_OF_HEADER: "When the generation that answers was made.",
        **({"ETag": "Names the generation."} if is_get else {}),
    }
    headers = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in told.items()
    }
    answered = {
        "description": "The answer.",
        "headers": headers,
        "content": {JSON: {"schema": _reference(text.answer), "example": text.example}},
    }
    problems = documented(*(_PROBLEMS if is_get else (*_PROBLEMS, *_BODY_PROBLEMS)))
    found = {"200": answered, **{str(status): problem for status, problem in problems.items()}}
    if is_get:
        found["304"] = {"description": "Still of the generation that `If-None-Match` names."}
    return found


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


_PROBLEMS: Final = (400, 401, 403, 404, 421, 422, 503)
_BODY_PROBLEMS: Final = (413, 415)
