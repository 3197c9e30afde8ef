"""OAuth for partners, as a browser and a partner see it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from devstack.heap_simulator import PartnerApp, SimulatorClient
from devstack.heap_simulator.oauth_model import CODE_MS, AuthorizationRequest, PartnerOAuth
from heapline.errors import CallerMistake

APP = PartnerApp()
AUTHORIZE = "/api/partner/oauth/authorize"
ASKED = {
    "client_id": APP.client_id,
    "redirect_uri": APP.redirect_uri,
    "response_type": "code",
    "scope": "segment",
    "state": "a&b",
}
ENV = "3100100101"


def link(**changes: str) -> str:
    """The partner's link to the authorize page."""
    return f"{AUTHORIZE}?{urlencode(ASKED | changes)}"


def ask(
    simulator: SimulatorClient, method: str, path: str, body: object = None, **headers: str
) -> httpx.Response:
    """One request, with a JSON body if there is any."""
    return httpx.request(method, simulator.url + path, json=body, headers=headers)


def answered(location: str) -> dict[str, str]:
    """What a redirect brings back."""
    assert location.startswith(APP.redirect_uri + "?")
    return dict(parse_qsl(urlsplit(location).query))


def test_the_page_offers_environments_and_both_answers(simulator: SimulatorClient) -> None:
    """Names and ids, Allow and Deny, and nothing that was not escaped."""
    simulator.replace_environments({"1": "<Shop>", "2": "Blog"})
    page = ask(simulator, "GET", link(state='"><script>'))
    assert page.status_code == 200
    for expected in (b"&lt;Shop&gt; (1)", b"Blog (2)", b"Allow", b"Deny"):
        assert expected in page.content
    assert b"<script>" not in page.content


def test_allow_exchange_and_metadata(simulator: SimulatorClient) -> None:
    """The whole way, once."""
    back = answered(simulator.decide(link(), env_id=ENV))
    assert back["state"] == "a&b"
    order = {
        "grant_type": "authorization_code",
        "code": back["code"],
        "redirect_uri": APP.redirect_uri,
        "client_id": APP.client_id,
        "client_secret": APP.client_secret,
    }
    tokens = ask(simulator, "POST", "/api/partner/oauth/token", order)
    assert tokens.status_code == 200
    granted = tokens.json()
    assert granted.keys() == {"id_token", "access_token", "token_type"}
    assert granted["token_type"] == "bearer"
    again = ask(simulator, "POST", "/api/partner/oauth/token", order)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    assert _metadata(simulator, granted["id_token"], "nonsense") == (
        401,
        {"error": "invalid_token"},
    )
    status, document = _metadata(simulator, granted["id_token"], granted["access_token"])
    assert status == 200
    assert document.pop("authorized_at_utc").endswith("Z")
    assert document == {
        "env_id": ENV,
        "partner_app_id": APP.partner_app_id,
        "authorized_by": "admin@customer.example",
        "authorized_scope": "segment",
    }


def _metadata(simulator: SimulatorClient, id_token: str, bearer: str) -> tuple[int, dict[str, str]]:
    path = f"/api/partner/v1/metadata/{id_token}"
    answer = ask(simulator, "GET", path, authorization=f"Bearer {bearer}")
    return answer.status_code, answer.json()


def test_deny_comes_back_as_an_error(simulator: SimulatorClient) -> None:
    """RFC 6749, section 4.1.2.1."""
    back = answered(simulator.decide(link(), allow=False))
    assert back == {"error": "access_denied", "state": "a&b"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "everything"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_a_wrong_question_comes_back_as_an_error(
    simulator: SimulatorClient, changes: dict[str, str], error: str
) -> None:
    """Without a page."""
    page = ask(simulator, "GET", link(**changes))
    assert page.status_code == 302
    assert answered(page.headers["location"])["error"] == error


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"redirect_uri": APP.redirect_uri + "?workspace=acme"},
        {"redirect_uri": APP.redirect_uri + "/"},
        {"redirect_uri": "https://elsewhere.example/heap/callback"},
    ],
)
def test_an_unregistered_partner_gets_nobody_sent(
    simulator: SimulatorClient, changes: dict[str, str]
) -> None:
    """A page, and no redirect; the address must be the registered one exactly."""
    page = ask(simulator, "GET", link(**changes))
    assert page.status_code == 400
    assert "location" not in page.headers
    with pytest.raises(CallerMistake):
        simulator.decide(link(**changes), env_id=ENV)


def test_an_environment_must_be_chosen(simulator: SimulatorClient) -> None:
    """One that is on the page."""
    with pytest.raises(CallerMistake, match="choose an environment"):
        simulator.decide(link(), env_id="404")


def test_the_same_environment_keeps_its_id_token() -> None:
    """It tells the customer, not the occasion; the access token is new each time."""
    ids = iter(str(each) for each in range(9))
    oauth = PartnerOAuth(APP, {"1": "A", "2": "B"}, lambda: next(ids))
    first, second = oauth.grant("1", "a", 0), oauth.grant("1", "b", 1)
    assert first.id_token == second.id_token
    assert first.access_token != second.access_token
    assert oauth.grant("2", "a", 0).id_token != first.id_token


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_id": "x"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"code": "x"}, 400, "invalid_grant"),
        ({"redirect_uri": "http://x"}, 400, "invalid_grant"),
        ({}, 200, None),
    ],
)
def test_the_token_endpoint_refuses(
    changes: dict[str, str], status: int, error: str | None
) -> None:
    """Each wrong part on its own."""
    oauth = PartnerOAuth(APP, {"1": "A"}, iter("abcdef").__next__)
    code = answered(oauth.allow(AuthorizationRequest(**ASKED), "1", "me", 0))["code"]
    order = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": APP.redirect_uri,
        "client_id": APP.client_id,
        "client_secret": APP.client_secret,
    }
    answer = oauth.exchange(order | changes, CODE_MS - 1)
    assert (answer.status, answer.document.get("error")) == (status, error)


def test_a_code_expires() -> None:
    """Ten minutes, the longest RFC 6749 recommends."""
    oauth = PartnerOAuth(APP, {"1": "A"}, iter("abcdef").__next__)
    code = answered(oauth.allow(AuthorizationRequest(**ASKED), "1", "me", 0))["code"]
    order = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": APP.redirect_uri,
        "client_id": APP.client_id,
        "client_secret": APP.client_secret,
    }
    assert oauth.exchange(order, CODE_MS).document == {"error": "invalid_grant"}


def test_spoilt_answers(simulator: SimulatorClient) -> None:
    """An order is good for one answer."""
    simulator.spoil_oauth("token", 502)
    assert ask(simulator, "POST", "/api/partner/oauth/token", {}).status_code == 502
    assert ask(simulator, "POST", "/api/partner/oauth/token", {}).status_code == 401
