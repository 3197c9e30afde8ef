"""Any sequence of batches, merges, restarts and erasures, against plain dictionaries."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heapline.memberships import MembershipReader
from state.index_writer import IndexWriter
from tests.state.index_model import Change, IndexModel

WORKSPACES: Final = ("acme", "globex")
USERS: Final = (
    "",
    "1",
    "01",
    "u",
    "U",
    "é",
    "e\u0301",
    "😀",
    "a\x00b",
    "\x7f\n",
    "x" * 61,
    "x" * 70,
)
SEGMENTS: Final = ("7", "07", "", "segment 😀")
SMALL: Final = 300
"""Bytes of an overlay from which it is merged: after every few batches here."""

changes = st.builds(
    Change,
    st.sampled_from(WORKSPACES),
    st.sampled_from(USERS),
    st.sampled_from(SEGMENTS),
    st.booleans(),
    st.integers(0, 5).map(lambda n: 1_800_000_000_000 + n),
    st.sampled_from([None, "s1", "s2"]),
)
erased = st.sets(st.tuples(st.sampled_from(WORKSPACES), st.sampled_from(USERS)), max_size=3)
steps = st.lists(
    st.one_of(
        st.lists(changes, max_size=30),
        st.lists(changes, max_size=30),
        st.sampled_from(["merge", "reopen"]),
        erased,
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_index_is_what_its_changes_make_it(steps: list[object]) -> None:
    """To a reader that was there from the start, and to one that comes late."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "index"
        model, writer = IndexModel(), IndexWriter.open(folder, merge_bytes=SMALL)
        reader = MembershipReader(folder)
        for step in steps:
            writer = taken(step, writer, model, folder)
            assert writer.version == model.version
            assert reader.freshness == writer.freshness
            model.compare(reader, USERS)
        writer.close()
        model.compare(MembershipReader(folder), USERS)


def taken(step: object, writer: IndexWriter, model: IndexModel, folder: Path) -> IndexWriter:
    """Take one step; give the writer to go on with."""
    if isinstance(step, list):
        model.publish(writer, step)
        return writer
    if step == "merge":
        writer.merge()
        return writer
    writer.close()
    if step == "reopen":
        return IndexWriter.open(folder, merge_bytes=SMALL)
    assert isinstance(step, set)
    model.erase(step)
    return model.build(folder, SMALL)
