"""Codes, and only what changes something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from heapline.memberships import MembershipReader, SegmentRow
from state.index_writer import IndexWriter
from state.payload import NO_SYNC
from state.raw_changes import RawChanges
from tests.state.index_model import Change, IndexModel, raw_changes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model() -> IndexModel:
    """An empty model."""
    return IndexModel()


def test_nothing_comes_to_nothing(tmp_path: Path) -> None:
    """An empty batch has no codes and no changes, and can be published."""
    with IndexWriter.open(tmp_path) as writer:
        staged = writer.stage(RawChanges())
        assert (staged.new_workspaces, len(staged.new_users), len(staged.changes)) == ([], 0, 0)
        writer.publish(staged, version=1, position={}, as_of_ms=1)
    assert MembershipReader(tmp_path).workspaces() == []


def test_codes_are_given_in_the_order_of_appearance(tmp_path: Path) -> None:
    """Dense from 0, across workspaces; whoever only leaves gets none."""
    with IndexWriter.open(tmp_path) as writer:
        staged = writer.stage(
            raw_changes(
                [
                    Change("initech", "nobody", "1", enters=False, at_ms=1),
                    Change("acme", "b", "7", enters=True, at_ms=1, sync="s9"),
                    Change("globex", "b", "7", enters=True, at_ms=2),
                    Change("acme", "a", "7", enters=True, at_ms=3, sync="s1"),
                    Change("acme", "gone", "8", enters=False, at_ms=4, sync="s2"),
                ]
            )
        )
        assert staged.new_workspaces == ["acme", "globex"]
        assert staged.new_users.user_id == ["b", "b", "a"]
        assert staged.new_users.workspace.tolist() == [0, 1, 0]
        assert staged.new_segments.segment_id == ["7", "7"]
        assert staged.new_segments.workspace.tolist() == [0, 1]
        changes = staged.changes
        assert changes.user.tolist() == [0, 1, 2]
        assert changes.segment.tolist() == [0, 1, 0]
        assert changes.sync.tolist() == [0, NO_SYNC, 1]
        assert changes.sync_id == ["s9", "s1"]
        assert changes.at_ms.dtype == np.int64
        assert changes.user.dtype == changes.segment.dtype == np.uint32


def test_a_pair_may_occur_several_times(tmp_path: Path, model: IndexModel) -> None:
    """Order counts, and repetitions fall away."""
    with IndexWriter.open(tmp_path) as writer:
        said = [True, True, False, False, True, False]
        model.publish(writer, [Change("acme", "u", "7", each, at) for at, each in enumerate(said)])
        model.compare(MembershipReader(tmp_path))
        assert model.segments == [("acme", "7")]


def test_who_leaves_and_comes_back_is_in_since_then(tmp_path: Path, model: IndexModel) -> None:
    """Also where the membership itself is that of the base."""
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, [Change("acme", "u", "7", enters=True, at_ms=1)])
        writer.merge()
        model.publish(writer, [Change("acme", "u", "7", enters=False, at_ms=2)])
        model.publish(writer, [Change("acme", "u", "7", enters=True, at_ms=3)])
        assert MembershipReader(tmp_path).entered_at_ms("acme", "u", "7") == 3
        writer.merge()
        assert MembershipReader(tmp_path).entered_at_ms("acme", "u", "7") == 3


def test_a_row_makes_a_segment_known(tmp_path: Path) -> None:
    """With its workspace, and without members."""
    row = SegmentRow("acme", "7", "Free", "complete", pages_partition=1, pages_offset=2)
    with IndexWriter.open(tmp_path) as writer:
        staged = writer.stage(RawChanges(), [("acme", "7")])
        assert staged.new_workspaces == ["acme"]
        writer.publish(staged, [row], version=1, position={}, as_of_ms=1)
        reader = MembershipReader(tmp_path)
        assert reader.segments("acme") == [row]
        assert reader.count("acme", "7") == 0
        with pytest.raises(ValueError, match="was not staged"):
            writer.publish(
                writer.stage(RawChanges()),
                [SegmentRow("acme", "8")],
                version=2,
                position={},
                as_of_ms=1,
            )
        assert reader.freshness == writer.freshness


def test_staging_changes_nothing(tmp_path: Path) -> None:
    """What was staged before another generation is refused."""
    with IndexWriter.open(tmp_path) as writer:
        raw = raw_changes([Change("acme", "u", "7", enters=True, at_ms=1)])
        first, second = writer.stage(raw), writer.stage(raw)
        assert first.new_users.user_id == second.new_users.user_id == ["u"]
        writer.publish(first, version=1, position={}, as_of_ms=1)
        with pytest.raises(ValueError, match="another generation"):
            writer.publish(second, version=2, position={}, as_of_ms=1)
        assert len(writer.stage(raw).changes) == 0
