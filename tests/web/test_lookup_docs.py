from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heapline.settings import WebSettings
from tests.web.lookup_site import EMOJI
from web import lookup_models as models
from web.lookup_docs import _TEXTS, add_lookups
from web.lookup_paths import PLACES, Operation, template

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.web.lookup_site import LookupSite

AUDIENCE = {
    "type": "OR",
    "exprs": [
        {"type": "CONDITION", "condition": {"type": "heap", "operator": "is", "value": "404"}},
        {"type": "CONDITION", "condition": {"type": "heap", "operator": "odd", "value": "7"}},
        {"type": "CONDITION", "condition": {"type": "named_rule", "rule_id": 7}},
        {"type": "CONDITION", "condition": {"type": "url"}},
    ],
}


@pytest.mark.parametrize(
    ("model", "ids", "body"),
    [
        (models.SegmentList, ("segments",), None),
        (models.MembersPage, ("segments", "7", "members"), None),
        (models.Membership, ("segments", "7", "members", "u1"), None),
        (models.Membership, ("segments", "9", "members", "nobody"), None),
        (models.UserSegments, ("users", EMOJI, "segments"), None),
        (models.CheckedPairs, ("memberships:check",), {"pairs": [{"user": 1, "segment": 404}]}),
        (models.EvaluatedUsers, ("audiences:evaluate",), {"audience": AUDIENCE, "users": ["u1"]}),
        (models.CountedAudience, ("audiences:count",), {"audience": AUDIENCE}),
    ],
)
def test_answers_are_what_the_description_says(
    lookups: LookupSite, model: type[BaseModel], ids: tuple[str, ...], body: dict[str, Any] | None
) -> None:
    """No field more and none less."""
    answer = lookups.get("acme", *ids) if body is None else lookups.post("acme", ids[0], body)
    assert answer.status_code == 200
    model.model_validate_json(answer.content)


def test_examples_fit_their_schemas() -> None:
    """Whoever copies one starts with something that works."""
    for text in _TEXTS.values():
        text.answer.model_validate(text.example)
        assert (text.body is None) == (text.body_example is None)
        if text.body is not None:
            text.body.model_validate(text.body_example)


def test_every_operation_is_described() -> None:
    """Under its method and address."""
    described: dict[str, Any] = {"paths": {}}
    add_lookups(described, WebSettings(max_pairs_per_check=5, max_members_per_page=6))
    for operation in Operation:
        found = described["paths"][template(operation)][PLACES[operation].method.lower()]
        assert found["operationId"] == operation
    schemas = described["components"]["schemas"]
    assert schemas["PairsToCheck"]["properties"]["pairs"]["maxItems"] == 5
    (limit,) = [
        each["schema"]
        for each in described["paths"][template(Operation.LIST_MEMBERS)]["get"]["parameters"]
        if each["name"] == "limit"
    ]
    assert limit == {"type": "integer", "minimum": 1, "maximum": 6, "default": 6}


def test_the_server_gives_the_description(lookups: LookupSite) -> None:
    """Lookups stand beside the other routes."""
    paths = lookups.ask("GET", "/openapi.json").json()["paths"]
    assert "/healthz" in paths
    assert template(Operation.IS_MEMBER) in paths
