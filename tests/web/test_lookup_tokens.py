from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.lookup_site import LookupSite

AUDIENCE = {"audience": {"type": "all_users"}, "users": ["u1"], "pairs": []}


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401),
        ("wrong-token-000001", 401),
        ("publish-token-0001", 403),
        ("reading-token-0001", 200),
        ("operate-token-0001", 200),
        ("limited-token-0001", 200),
    ],
)
def test_every_lookup_needs_a_token_that_may_read(
    guarded_lookups: LookupSite, token: str | None, status: int
) -> None:
    """Whatever is asked."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    site = guarded_lookups
    answers = [
        site.get("acme", "segments", headers=headers),
        site.get("acme", "segments", "7", "members", headers=headers),
        site.get("acme", "segments", "7", "members", "u1", headers=headers),
        site.get("acme", "users", "u1", "segments", headers=headers),
        *(
            site.post("acme", verb, AUDIENCE, headers=headers)
            for verb in ("memberships:check", "audiences:evaluate", "audiences:count")
        ),
    ]
    assert [each.status_code for each in answers] == [status] * 7
    if status == 401:
        assert all("www-authenticate" in each.headers for each in answers)


@pytest.mark.parametrize("workspace", ["globex", "initech", "acme ", ""])
def test_a_token_for_some_workspaces_is_good_for_no_other(
    guarded_lookups: LookupSite, workspace: str
) -> None:
    """403 for all others, so that it cannot find out which there are."""
    headers = {"authorization": "Bearer limited-token-0001"}
    answer = guarded_lookups.get(workspace, "users", "u9", "segments", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:heapline:problem:workspace-forbidden"


def test_without_tokens_other_host_names_are_refused(lookups: LookupSite) -> None:
    """A name of somebody else's site that points here (DNS rebinding) opens nothing."""
    for host, status in (
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("[::1", 421),
        ("localhost:1", 200),
        ("[::1]:8080", 200),
    ):
        answer = lookups.get("acme", "segments", headers={"host": host})
        assert answer.status_code == status, host
