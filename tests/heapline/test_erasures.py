from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.erasures import AnotherErasureKey, EraseKey, Erasure, Erasures
from heapline.words import UserId, Workspace

KEY = EraseKey(b"secret")
names = st.sampled_from(["a", "b", "ab", ""])
times = st.integers(0, 5)


def erasure(workspace: str, user: str, at_ms: int, key: EraseKey = KEY) -> Erasure:
    """One erasure."""
    return Erasure(Workspace(workspace), key.mac(workspace, user), key.id, at_ms)


@given(st.lists(st.tuples(names, names, times)), names, names, times)
def test_a_fact_is_covered_by_any_later_erasure_of_its_user(
    erased: list[tuple[str, str, int]], workspace: str, user: str, accepted_ms: int
) -> None:
    """Of the same workspace; in any order; not one accepted at the same moment."""
    known = Erasures(KEY, [erasure(*each) for each in erased])
    expected = any(
        (each, who) == (workspace, user) and accepted_ms < at_ms for each, who, at_ms in erased
    )
    assert known.cover(workspace, user, accepted_ms) is expected
    kept = known.kept(Workspace(workspace), (UserId(user), UserId("other")), accepted_ms)
    assert kept == (() if expected else (user,)) + ("other",)


def test_the_list_names_nobody() -> None:
    """Nor does the record's key; and workspaces and users do not run into one another."""
    record = erasure("acme", "jane@example.org", 7)
    assert b"jane" not in record.key + str(record.to_record()).encode()
    assert Erasure.from_record(record.to_record()) == record
    assert KEY.mac("a", "bc") != KEY.mac("ab", "c")
    assert KEY.mac("a", "b") != EraseKey(b"other").mac("a", "b")


def test_an_erasure_under_another_key_stops_the_process() -> None:
    """It could not be recognised."""
    with pytest.raises(AnotherErasureKey, match="HEAPLINE_ERASURE__KEY"):
        Erasures(KEY).add(erasure("acme", "jane", 7, EraseKey(b"other")))
