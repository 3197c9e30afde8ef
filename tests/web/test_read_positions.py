from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from heapline.kafka.position import Position
from tests.web.lookup_site import EMOJI, ROWS, LookupSite, path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from heapline.memberships import SegmentRow

HEADER = "Heapline-Position"
AT_LEAST = "Heapline-At-Least"
DIGEST = "0123456789abcdef"


def rows_at(*offsets: int) -> list[SegmentRow]:
    """Give the segments with their latest pages: partition 0 for even ones, 1 for odd ones."""
    return [
        replace(row, pages_partition=at % 2, pages_offset=offset)
        for at, (row, offset) in enumerate(zip(ROWS, offsets, strict=True))
    ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LookupSite]:
    """The lookup API over an index that has seen some pages; it waits for a minute at most."""
    made = LookupSite(tmp_path / "index", at_least_wait_seconds=60.0)
    made.publish(1, *rows_at(10, 21, 12, 23, 14))
    yield made.start()
    made.stop()


def test_answers_tell_how_far_they_have_come(site: LookupSite) -> None:
    """A segment its own position, a workspace the newest of each partition."""
    member = site.get("acme", "segments", "7", "members", "u1")
    assert member.headers[HEADER].startswith("p0.10")
    listed = site.get("acme", "segments").headers[HEADER]
    assert listed == ", ".join(
        str(Position.of(*place)) for place in ((0, 12, "acme", "9"), (1, 23, "acme", EMOJI))
    )
    checked = site.post("acme", "memberships:check", {"pairs": []})
    assert checked.headers[HEADER] == listed


@pytest.mark.parametrize("ids", [("segments",), ("segments", "8", "members", "u1")])
def test_a_position_once_given_is_reached(site: LookupSite, ids: tuple[str, ...]) -> None:
    """Whatever this server answered, it has come so far itself."""
    given = site.get("acme", *ids).headers[HEADER]
    again = site.get("acme", *ids, headers={AT_LEAST: given})
    assert again.status_code == 200
    assert again.headers[HEADER] == given


def test_a_position_to_come_is_waited_for(site: LookupSite) -> None:
    """While others are answered; then the answer has come so far."""
    at_least = ahead(site, 99)

    async def both() -> tuple[int, float]:
        address = path("acme", "segments", "7", "members", "u1")
        waiting = asyncio.create_task(site.client.get(address, headers={AT_LEAST: at_least}))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        for _ in range(5):
            assert (await site.client.get(address)).status_code == 200
        others_took = time.monotonic() - started
        assert not waiting.done()
        await asyncio.to_thread(site.publish, 2, *rows_at(99, 21, 12, 23, 14))
        return (await waiting).status_code, others_took

    status, others_took = site.runner.run(both())
    assert status == 200
    assert others_took < 50


def test_many_wait_at_once(site: LookupSite) -> None:
    """One task looks for all of them."""
    at_least = ahead(site, 99)

    async def all_of_them() -> list[int]:
        address = path("acme", "segments")
        waiting = [
            asyncio.create_task(site.client.get(address, headers={AT_LEAST: at_least}))
            for _ in range(200)
        ]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(site.publish, 2, *rows_at(10, 22, 12, 23, 14))
        await asyncio.to_thread(site.publish, 3, *rows_at(99, 22, 12, 23, 14))
        return [(await each).status_code for each in waiting]

    assert site.runner.run(all_of_them()) == [200] * 200


def test_a_position_that_does_not_come_is_not_yet_visible(lookups: LookupSite) -> None:
    """503, after the wait that is set, and never an answer that is too old."""
    lookups.publish(2, *rows_at(10, 21, 12, 23, 14))
    given = ahead(lookups, 10**18)
    answer = lookups.get("acme", "segments", headers={AT_LEAST: given})
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:heapline:problem:not-yet-visible"
    assert answer.headers["retry-after"] == "1"
    mixed = f"{lookups.get('acme', 'segments').headers[HEADER]}, {given}"
    assert lookups.get("acme", "segments", headers={AT_LEAST: mixed}).status_code == 503


def test_an_unknown_segment_is_waited_for_too(site: LookupSite) -> None:
    """The first page of a segment is news of it: no 404 before it is visible."""
    at_least = str(Position.of(0, 99, "acme", "new"))

    async def waited() -> int:
        address = path("acme", "segments", "new", "members", "u1")
        waiting = asyncio.create_task(site.client.get(address, headers={AT_LEAST: at_least}))
        await asyncio.sleep(0.05)
        rows = rows_at(99, 21, 12, 23, 14)
        new = replace(rows[0], segment_id="new", pages_offset=99)
        await asyncio.to_thread(site.publish, 2, *rows, new)
        return (await waiting).status_code

    assert site.runner.run(waited()) == 200


@pytest.mark.parametrize(
    "given",
    ["", " ", "x", "p0", "p0.1", f"p0.1.{DIGEST},", f"p-1.0.{DIGEST}", f"p0.9{'9' * 30}.{DIGEST}"],
)
def test_what_is_no_position_is_a_mistake(site: LookupSite, given: str) -> None:
    """400, at once."""
    answer = site.get("acme", "segments", headers={AT_LEAST: given})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:heapline:problem:invalid-position"


def test_a_header_of_thousands_of_positions_is_a_mistake(site: LookupSite) -> None:
    """This server writes no such thing."""
    given = ", ".join([f"p0.1.{DIGEST}"] * 2_000)
    assert site.get("acme", "segments", headers={AT_LEAST: given}).status_code == 400


def ahead(site: LookupSite, offset: int) -> str:
    """Give a position of segment 7 that lies ahead of what the site has."""
    given = site.get("acme", "segments", "7", "members", "u1").headers[HEADER]
    return str(replace(Position.parse(given), offset=offset))
