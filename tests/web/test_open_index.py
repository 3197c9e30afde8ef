from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.web.lookup_site import LookupSite
from web.open_index import AGAIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LookupSite]:
    """The lookup API before there is an index."""
    made = LookupSite(tmp_path / "index").start()
    yield made
    made.stop()


def test_without_an_index_the_answer_says_what_to_do(empty: LookupSite) -> None:
    """503 with Retry-After, and not ready."""
    for answer in (
        empty.get("acme", "segments"),
        empty.post("acme", "memberships:check", {"pairs": []}),
        empty.ask("GET", "/readyz"),
    ):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "heapline materialize" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= 1
    assert empty.ask("GET", "/healthz").status_code == 200


def test_an_index_that_comes_later_is_opened(empty: LookupSite) -> None:
    """Without a restart."""
    assert empty.get("acme", "segments").status_code == 503
    empty.publish(1)
    deadline = time.monotonic() + 60
    while empty.get("acme", "segments").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(AGAIN_SECONDS / 5)


def test_mistakes_are_told_before_the_index_is_missed(empty: LookupSite) -> None:
    """A caller's mistake stays one."""
    assert empty.post("acme", "memberships:check", {}).status_code == 422
    assert empty.ask("GET", "/v1/workspaces/acme/nothing").status_code == 404


def test_a_damaged_index_says_so(empty: LookupSite) -> None:
    """And is never read wrongly."""
    empty.publish(1)
    for file in empty.folder.glob("*.index"):
        written = bytearray(file.read_bytes())
        written[len(written) // 2] ^= 1
        file.write_bytes(written)
    answer = empty.get("acme", "segments")
    assert answer.status_code == 503
    assert "heapline state rebuild" in answer.json()["detail"]
