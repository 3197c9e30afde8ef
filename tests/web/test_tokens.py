from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heapline.errors import InvalidSetting
from heapline.settings import ApiToken, WebSettings
from web.tokens import Tokens, check_listening, is_loopback

if TYPE_CHECKING:
    from tests.web.conftest import Site

EVENT = {"name": "x", "organization_key": "acme"}


def bearer(token: str) -> dict[str, str]:
    """Give the header."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong-token-00001"},
        {"Authorization": "Basic publish-token-0001"},
        {"Authorization": "publish-token-0001"},
        {"Authorization": "Bearer publish-token-0001x"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
def test_without_a_good_token_there_is_no_entry(
    guarded: Site, header: dict[str, str | bytes]
) -> None:
    """401 with a challenge (RFC 6750), and nothing is published."""
    response = guarded.post(EVENT, headers=header)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith('Bearer realm="heapline"')
    assert response.headers["content-type"] == "application/problem+json"
    assert guarded.kafka.acknowledged == []


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("publish-token-0001", "POST", "/v1/events", 200),
        ("operate-token-0001", "POST", "/v1/events", 200),
        ("reading-token-0001", "POST", "/v1/events", 403),
        ("publish-token-0001", "GET", "/metrics", 403),
        ("reading-token-0001", "GET", "/metrics", 200),
        ("operate-token-0001", "GET", "/metrics", 200),
        ("publish-token-0001", "GET", "/openapi.json", 200),
        ("reading-token-0001", "GET", "/openapi.json", 200),
    ],
)
def test_roles(guarded: Site, token: str, method: str, path: str, status: int) -> None:
    """Publish publishes, read reads, operate does both."""
    response = guarded.ask(method, path, json=EVENT, headers=bearer(token))
    assert response.status_code == status
    if status == 403:
        assert "insufficient_scope" in response.headers["www-authenticate"]


def test_the_scheme_is_case_insensitive(guarded: Site) -> None:
    """RFC 9110 says so."""
    header = {"Authorization": "bearer publish-token-0001"}
    assert guarded.post(EVENT, headers=header).status_code == 200


def test_a_token_for_some_workspaces_is_good_for_no_other(guarded: Site) -> None:
    """Refused item by item; the item's own workspace counts, not the query's."""
    items = [
        EVENT,
        {"name": "x", "organization_key": "globex"},
        {"name": "x", "organization_key": 7},
        {"name": "x", "workspace": "globex", "organization_key": ""},
        {"name": "x"},
    ]
    response = guarded.post(
        items, headers=bearer("limited-token-0001"), params={"workspace": "acme"}
    )
    reasons = [each["error"] and each["error"]["reason"] for each in response.json()["results"]]
    assert reasons == [None, "workspace_forbidden", None, "workspace_forbidden", None]
    assert {key for key, _ in guarded.kafka.acknowledged} == {b"acme", b"7"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(guarded: Site, path: str) -> None:
    """An orchestrator has none."""
    assert guarded.ask("GET", path).status_code == 200


def test_tokens_are_not_kept() -> None:
    """Only hashes are: nothing that holds the tokens would print one."""
    token = "secret-secret-secret"
    tokens = Tokens([ApiToken(name="a", token=token, role="read")])
    assert tokens.needed
    assert tokens.caller(token) is not None
    assert token not in repr(vars(tokens))


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1", "localhost.evil.example"])
def test_without_tokens_other_host_names_are_refused(site: Site, host: str) -> None:
    """A name of somebody else's site that points here (DNS rebinding) opens nothing."""
    response = site.post(EVENT, headers={"host": host})
    assert response.status_code == 421
    assert response.json()["type"] == "urn:heapline:problem:foreign-host"
    assert site.ask("GET", "/metrics", headers={"host": host}).status_code == 421
    assert site.kafka.acknowledged == []


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080"])
def test_without_tokens_this_machines_names_are_good(site: Site, host: str) -> None:
    """However one calls oneself."""
    assert site.post(EVENT, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104 -- that it is refused
def test_beyond_loopback_tokens_are_needed(host: str) -> None:
    """The message says how to set one, or where to listen instead."""
    assert not is_loopback(host)
    with pytest.raises(InvalidSetting, match="HEAPLINE_WEB__API_TOKENS"):
        check_listening(WebSettings(host=host))
    token = ApiToken(name="a", token="0123456789abcdef", role="read")
    check_listening(WebSettings(host=host, api_tokens=[token]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_none(host: str) -> None:
    """A laptop works without any setting."""
    check_listening(WebSettings(host=host))
