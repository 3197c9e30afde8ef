from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from heapline.telemetry.logs import facts_of
from web.app import described

if TYPE_CHECKING:
    from tests.web.conftest import Site


def test_unknown_addresses_are_problems(site: Site) -> None:
    """RFC 9457, also where no route was found."""
    response = site.ask("GET", "/nowhere")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert set(response.json()) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_are_no_pages_that_load_from_elsewhere(site: Site, path: str) -> None:
    """FastAPI's own pages of documentation fetch scripts from another host."""
    assert site.ask("GET", path).status_code == 404


def test_wrong_methods_are_problems(site: Site) -> None:
    """With the methods that would do."""
    response = site.ask("GET", "/v1/events")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.json()["type"] == "urn:heapline:problem:method-not-allowed"


def test_requests_that_do_not_fit_are_problems(site: Site) -> None:
    """Says where, and repeats nothing of what was sent."""

    @site.app.get("/number")
    async def number(n: int) -> int:
        return n

    response = site.ask("GET", "/number", params={"n": "secret"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["where"] == "query.n"
    assert "secret" not in response.text


def test_crashes_tell_nothing_of_the_request(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A bare 500 outside; inside a log line with type and place, never with the error's text."""

    @site.app.get("/users/{user}")
    async def crash(user: str) -> None:
        raise ValueError(f"cannot do it for {user}")

    with caplog.at_level(logging.ERROR):
        response = site.ask("GET", "/users/jane@example.org")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:heapline:problem:internal"
    told = "\n".join(f"{line.getMessage()} {facts_of(line)}" for line in caplog.records)
    assert "jane" not in response.text + told
    assert "test_problems.py" in told
    assert "ValueError" in told


def test_the_description_covers_every_answer(site: Site) -> None:
    """OpenAPI: the event API's models and problems, and that it takes a bearer token."""
    found = site.ask("GET", "/openapi.json").json()
    assert found == described(site.app)
    publish = found["paths"]["/v1/events"]["post"]
    assert {"200", "400", "401", "403", "413", "415", "422", "503"} <= set(publish["responses"])
    assert publish["security"]
    assert set(publish["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
    for status, answer in publish["responses"].items():
        (media_type,) = answer["content"]
        expected = "application/json" if status == "200" else "application/problem+json"
        assert media_type == expected
    schemas = found["components"]["schemas"]
    assert {"EventResults", "ItemResult", "ItemError", "ProblemDetails"} <= set(schemas)
    assert "HTTPValidationError" not in schemas
    for name in ("EventResults", "ItemResult", "ItemError", "ProblemDetails"):
        assert schemas[name]["description"]
