"""The index's files through restarts, crashes, damage and erasure."""

from __future__ import annotations

import os
import resource
import shutil
from typing import TYPE_CHECKING

import pytest

from heapline.memberships import IndexUnavailable, MembershipReader
from heapline.memberships.generations import MANIFEST, PUBLISHED, read_manifest
from state.errors import DiskFull, StateUnwritable
from state.index_files import IndexFiles
from state.index_writer import DAMAGED, IndexWriter
from state.raw_changes import RawChanges
from tests.state.index_model import Change, IndexModel, raw_changes

if TYPE_CHECKING:
    from pathlib import Path

SMALL = 1_000


def entering(count: int, first: int = 0, segment: str = "7") -> list[Change]:
    """Let users enter."""
    users = range(first, first + count)
    return [Change("acme", f"user {n}", segment, enters=True, at_ms=n) for n in users]


def names(folder: Path) -> set[str]:
    """List a folder."""
    return {path.name for path in folder.iterdir()}


def test_three_generations_are_kept(tmp_path: Path) -> None:
    """And nothing else, whatever was merged meanwhile."""
    model = IndexModel()
    with IndexWriter.open(tmp_path, merge_bytes=SMALL) as writer:
        for batch in range(15):
            model.publish(writer, entering(20, 20 * batch))
    with IndexWriter.open(tmp_path, merge_bytes=SMALL) as writer:
        kept = read_manifest(tmp_path)
        assert [each.generation for each in kept] == sorted(
            {each.generation for each in kept}, reverse=True
        )
        assert len(kept) == 3
        files = {name for each in kept for name in each[1:] if name is not None}
        assert names(tmp_path) == files | {MANIFEST, PUBLISHED}
        model.compare(MembershipReader(tmp_path))
        assert writer.version == 15


def test_a_page_costs_no_full_rewrite(tmp_path: Path) -> None:
    """The base stays, and the overlay is small beside it."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(5_000))
        writer.merge()
        model.publish(writer, entering(10, 1_000_000))
        (newest, before, *_) = read_manifest(tmp_path)
        assert newest.base == before.base
        assert newest.keys is not None
        base, overlay, keys = (
            (tmp_path / each).stat().st_size for each in (newest.base, newest.overlay, newest.keys)
        )
        assert (overlay + keys) * 50 < base


def test_a_merge_beside_the_work_is_taken_over(tmp_path: Path) -> None:
    """Changes made while it ran are kept."""
    model = IndexModel()
    with IndexWriter.open(tmp_path, merge_bytes=SMALL) as writer:
        first = read_manifest(tmp_path)[0].base
        batch = 0
        while read_manifest(tmp_path)[0].base == first:
            assert batch < 10_000
            model.publish(writer, entering(5, 5 * batch, segment=str(batch % 3)))
            leave = [each._replace(enters=False) for each in entering(2, 5 * batch, "0")]
            model.publish(writer, leave)
            batch += 1
        model.compare(MembershipReader(tmp_path))


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_crash_while_a_file_is_written(tmp_path: Path, kept: int) -> None:
    """Whatever a killed writer left behind is removed by the next, and no reader minds."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
    whole = names(tmp_path)
    overlay = tmp_path / read_manifest(tmp_path)[0].overlay
    for left in ("overlay-000000000009.index", "base-000000000008.index.part"):
        (tmp_path / left).write_bytes(overlay.read_bytes()[:kept])
    (tmp_path / f"{MANIFEST}.part").write_bytes(b"{")
    model.compare(MembershipReader(tmp_path))
    with IndexWriter.open(tmp_path) as writer:
        assert names(tmp_path) == whole
        model.publish(writer, entering(3, 3))
        model.compare(MembershipReader(tmp_path))


def test_a_crash_before_readers_are_told(tmp_path: Path) -> None:
    """The number is only a hint: who opens the folder sees the newest generation."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        told = (tmp_path / PUBLISHED).read_bytes()
        reader = MembershipReader(tmp_path)
        model.publish(writer, entering(3))
        newest = writer.freshness
    with (tmp_path / PUBLISHED).open("r+b") as file:
        file.write(told)
    assert MembershipReader(tmp_path).freshness == newest
    assert reader.refresh() == newest
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3, 3))
        model.compare(reader)


def test_generations_never_repeat(tmp_path: Path) -> None:
    """Not after a rebuild either: readers tell by the number that something is new."""
    model, seen = IndexModel(), [0]
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
        seen.append(writer.generation)
    for _ in range(3):
        with model.build(tmp_path, SMALL) as writer:
            seen.append(writer.generation)
            model.publish(writer, entering(1, len(seen) * 10))
            seen.append(writer.generation)
    assert seen == sorted(set(seen))


def test_an_erased_user_is_in_no_file(tmp_path: Path) -> None:
    """Not in base, overlay or older generations; the others stay."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(50))
        model.publish(writer, [Change("acme", "Ada Lovelace", "7", enters=True, at_ms=9)])
        writer.merge()
        model.publish(writer, [Change("acme", "Ada Lovelace", "8", enters=True, at_ms=9)])
        model.publish(writer, [Change("acme", "Charles Babbage", "7", enters=True, at_ms=9)])
    reader = MembershipReader(tmp_path)
    page = reader.members_page("acme", "7", limit=1)
    assert any(b"Ada Lovelace" in path.read_bytes() for path in tmp_path.iterdir())
    model.erase({("acme", "Ada Lovelace"), ("acme", "Charles Babbage")})
    with model.build(tmp_path, SMALL):
        for path in tmp_path.iterdir():
            written = path.read_bytes()
            assert b"Ada Lovelace" not in written
            assert b"Charles Babbage" not in written
        assert reader.segments_of("acme", "Ada Lovelace") == []
        model.compare(reader)
        with pytest.raises(Exception, match="start the listing again"):
            reader.members_page("acme", "7", page.cursor)


def test_a_damaged_index_is_built_anew(tmp_path: Path) -> None:
    """Its version is no store's; until then readers hear an error, and not that all left."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
    for path in tmp_path.glob("*.index"):
        path.write_bytes(path.read_bytes()[:-70])
    with pytest.raises(IndexUnavailable, match="heapline state rebuild"):
        MembershipReader(tmp_path)
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == DAMAGED
    with pytest.raises(IndexUnavailable):
        MembershipReader(tmp_path)
    with model.build(tmp_path, SMALL):
        model.compare(MembershipReader(tmp_path))


def test_a_damaged_newest_generation_gives_way_to_an_older(tmp_path: Path) -> None:
    """To readers, who tell so, and to the writer."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
        older = writer.freshness
        writer.publish(writer.stage(RawChanges()), version=2, position={}, as_of_ms=9)
    newest = tmp_path / read_manifest(tmp_path)[0].overlay
    newest.write_bytes(newest.read_bytes()[:-1])
    reader = MembershipReader(tmp_path)
    assert reader.freshness == older
    assert newest.name in reader.damage[0]
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == 1
        model.publish(writer, entering(3, 3))
        model.compare(reader)
        assert reader.damage == ()


@pytest.mark.parametrize("written", [b"", b"{}", b"null", b"[1]", b"\xff", b'{"format": 9}'])
def test_a_damaged_manifest_is_done_without(tmp_path: Path, written: bytes) -> None:
    """The newest whole overlay is found by looking."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
    (tmp_path / MANIFEST).write_bytes(written)
    reader = MembershipReader(tmp_path)
    model.compare(reader)
    assert MANIFEST in reader.damage[0]
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == 1
        model.publish(writer, entering(3, 3))
    assert MembershipReader(tmp_path).damage == ()


def test_a_full_disk_leaves_what_was_published(tmp_path: Path) -> None:
    """The error says so, and the next writer goes on from there."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
        staged = writer.stage(raw_changes(entering(1_000, 10)))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        try:
            with pytest.raises(DiskFull):
                writer.publish(staged, version=2, position={}, as_of_ms=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    model.compare(MembershipReader(tmp_path))
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == 1
        model.publish(writer, entering(1_000, 10))
        model.compare(MembershipReader(tmp_path), ["nobody"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Says so, and readers go on."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(3))
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(StateUnwritable):
                model.publish(writer, entering(3, 3))
            assert MembershipReader(tmp_path).count("acme", "7") == 3
        finally:
            tmp_path.chmod(0o700)


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """Is told in words."""
    (tmp_path / "index").write_text("")
    with pytest.raises(StateUnwritable, match="may not be written"):
        IndexWriter.open(tmp_path / "index")


def test_a_reader_that_opens_before_the_first_manifest_hears_of_the_next(tmp_path: Path) -> None:
    """Files are there a moment before the manifest names them; whoever looks then is not stuck."""
    first, there = tmp_path / "first", tmp_path / "there"
    IndexWriter.build(first, version=1).close()
    IndexFiles(there)
    for file in first.glob("*-*.index"):
        shutil.copy(file, there)
    reader = MembershipReader(there)
    assert reader.freshness.generation == 1
    with IndexWriter.open(there) as writer:
        writer.publish(writer.stage(RawChanges()), version=2, position={}, as_of_ms=9)
        assert reader.freshness == writer.freshness
