"""The index's benchmark asks everybody the same, and everybody answers the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import index
from bench.filled_index import filled_index
from bench.index_changes import batches, fastest
from bench.index_questions import Answerer, Asked, Index, Times, answer_times
from bench.index_rivals import duckdb_table, redis_is_installed, redis_sets
from heapline.memberships import MembershipReader

if TYPE_CHECKING:
    from pathlib import Path

    from bench.filled_index import Filled


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """A small index."""
    return filled_index(tmp_path, users=300, segments=4)


def agree(filled: Filled, other: Answerer) -> None:
    """See that another knows what the index knows."""
    own = Index(MembershipReader(filled.state / "index"), filled.workspace)
    pairs = Asked(filled.users, filled.segments, 100, 100).pairs(100)
    users, segments = map(list, zip(*pairs, strict=True))
    assert list(other.check(users, segments)) == own.check(users, segments)
    for user, segment in pairs:
        assert other.is_member(user, segment) == own.is_member(user, segment)
        assert sorted(other.segments_of(user)) == sorted(own.segments_of(user))
    a, b, c, _ = filled.segments
    assert other.count(a, b, c) == own.count(a, b, c)


def members(filled: Filled) -> dict[str, list[str]]:
    """Give everybody in every segment."""
    view = MembershipReader(filled.state / "index").pinned()
    return {each: list(view.members(filled.workspace, each)) for each in filled.segments}


def test_a_table_knows_the_same(filled: Filled) -> None:
    """DuckDB's answers are the index's."""
    with duckdb_table(members(filled)) as table:
        agree(filled, table)


@pytest.mark.skipif(not redis_is_installed(), reason="there is no redis-server here")
def test_redis_knows_the_same(filled: Filled) -> None:
    """On a server of its own, which ends with the block."""
    with redis_sets(members(filled)) as sets:
        agree(filled, sets)


def test_every_change_is_counted(filled: Filled) -> None:
    """Payloads of known and of new users, each seen by a reader before the next."""
    for new in (False, True):
        changes = batches(filled.users, filled.segments, 50, new=new)
        found = fastest(filled.state / "index", changes, 3)
        assert found["changes"] == 150
        assert found["changes_per_second"] > 0


def test_rounds_are_summed_up() -> None:
    """The median decides, and the extremes are told."""
    rounds = [{"is_member": Times(middle, 10.0)} for middle in (3.0, 1.0, 1.5)]
    found = index.spreads(rounds)["is_member"]
    assert found["p50_us"] == {"median": 1.5, "least": 1.0, "most": 3.0}
    assert found["p99_us"] == {"median": 10.0, "least": 10.0, "most": 10.0}


def test_the_report_names_every_target(filled: Filled) -> None:
    """Reached or missed, with the others beside."""
    reader = MembershipReader(filled.state / "index")
    own = answer_times(
        Index(reader, filled.workspace), Asked(filled.users, filled.segments, 100, 100)
    )
    answers = {name: each.figures() for name, each in own.items()}
    rate = {"changes_per_second": 1.0}
    sizes = {
        "bitmaps_a_membership": 0.5,
        "user_to_segments_a_membership": 1.0,
        "entered_at_a_membership": 2.0,
        "dictionary_a_user": 71.0,
    }
    text = index.section(
        {
            "memberships": 1,
            "users": 1,
            "answers": index.spreads([own, own]),
            "beside": {"Redis": answers},
            "writer_meanwhile": {"effective_changes": 1},
            "restart_seconds": 0.001,
            "restart_spread_seconds": [0.003, 0.02],
            "changes_per_second_beside": {"DuckDB": 9_000.0},
            "bytes": sizes,
            "known_users": rate,
            "new_users": rate,
        }
    ).text()
    assert "an empty call, by turns, p50" in text
    assert "Redis p50" in text
    assert "(at most 70: MISSED)" in text
    assert "(at least 200,000: MISSED)" in text
    assert "(at most 50: PASS)" in text
