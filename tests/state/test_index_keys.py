"""The file of keys through generations, crashes, damage and restarts."""

from __future__ import annotations

import itertools
import resource
from typing import TYPE_CHECKING, Final

import pytest

from heapline.memberships import IndexUnavailable, MembershipReader
from heapline.memberships.generations import Named, read_manifest
from state.errors import DiskFull
from state.index_writer import DAMAGED, IndexWriter
from state.raw_changes import RawChanges
from tests.state.index_model import Change, IndexModel

if TYPE_CHECKING:
    from pathlib import Path

    from heapline.memberships import Memberships

LONG: Final = "a user whose id takes many bytes, so that it is seen where it is written, "


def entering(first: int, count: int = 20, segment: str = "7") -> list[Change]:
    """Let users enter."""
    users = range(first, first + count)
    return [Change("acme", f"{LONG}{n}", segment, enters=True, at_ms=n) for n in users]


def keys_of(folder: Path) -> list[str]:
    """List the files of keys."""
    return sorted(path.name for path in folder.glob("*.keys"))


def newest(folder: Path) -> Named:
    """Give the newest generation's files."""
    return read_manifest(folder)[0]


def told(view: Memberships, users: range) -> list[list[tuple[str, int]]]:
    """Ask about users in both ways there are."""
    names = [f"{LONG}{n}" for n in users]
    found = [view.memberships_of("acme", name) for name in names]
    assert view.check_users("acme", names, "7") == [any(s == "7" for s, _ in at) for at in found]
    return found


def test_keys_are_written_once(tmp_path: Path) -> None:
    """A generation appends its users' keys, and its overlay has none."""
    model, lengths = IndexModel(), [0]
    with IndexWriter.open(tmp_path) as writer:
        for batch in range(6):
            model.publish(writer, entering(20 * batch))
            (name,) = keys_of(tmp_path)
            lengths.append((tmp_path / name).stat().st_size)
            assert newest(tmp_path).keys == name
            assert LONG.encode() not in (tmp_path / newest(tmp_path).overlay).read_bytes()
        grown = [after - before for before, after in itertools.pairwise(lengths)]
        assert max(grown) < 1.2 * min(grown)
        model.publish(writer, [Change("acme", f"{LONG}3", "7", enters=False, at_ms=9)])
        assert (tmp_path / name).stat().st_size == lengths[-1]
        model.compare(MembershipReader(tmp_path))


def test_every_generation_keeps_its_answers(tmp_path: Path) -> None:
    """While the file grows, through merges, a new writer, and an index built anew."""
    model, seen, users = IndexModel(), [], range(400)
    writer = IndexWriter.open(tmp_path)
    reader = MembershipReader(tmp_path)
    for batch in range(20):
        model.publish(writer, [*entering(15 * batch, 15), *entering(3 * batch, 9, "8")])
        leave = [each._replace(enters=False) for each in entering(11 * batch, 2)]
        model.publish(writer, leave)
        if batch in {6, 13}:
            writer.merge()
        if batch in {3, 9}:
            writer.close()
            writer = IndexWriter.open(tmp_path)
        if batch == 16:
            writer.close()
            writer = model.build(tmp_path, 1 << 20)
        view = reader.pinned()
        seen.append((view, told(view, users)))
        assert told(MembershipReader(tmp_path).pinned(), users) == seen[-1][1]
    model.compare(reader)
    for view, answers in seen:
        assert told(view, users) == answers
    writer.close()


def test_a_merge_begins_another_file(tmp_path: Path) -> None:
    """And the older is removed once no generation reads it."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        (first,) = keys_of(tmp_path)
        writer.merge()
        assert newest(tmp_path).keys is None
        model.publish(writer, entering(20))
        assert keys_of(tmp_path) == [first, newest(tmp_path).keys]
        for _ in range(2):
            model.publish(writer, [])
        assert keys_of(tmp_path) == [newest(tmp_path).keys]
        model.compare(MembershipReader(tmp_path))


@pytest.mark.parametrize("left", [1, 8, 5_000])
def test_what_a_crash_left_behind_the_keys_is_in_nobodys_way(tmp_path: Path, left: int) -> None:
    """Readers read what is told, and the next writer begins a file of its own."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        model.publish(writer, entering(20))
    (name,) = keys_of(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole + bytes(range(1, 256)) * left)
    (tmp_path / "newer-000000000009.keys").write_bytes(bytes(left))
    pinned = MembershipReader(tmp_path).pinned()
    model.compare(MembershipReader(tmp_path))
    before = told(pinned, range(60))
    with IndexWriter.open(tmp_path) as writer:
        assert keys_of(tmp_path) == [name]
        model.publish(writer, entering(40))
        assert newest(tmp_path).keys != name
        model.compare(MembershipReader(tmp_path))
    assert (tmp_path / name).read_bytes()[: len(whole)] == whole
    assert told(pinned, range(60)) == before


@pytest.mark.parametrize("way", ["missing", "short", "empty", "altered", "another"])
def test_damaged_keys_give_way_to_an_older_generation(tmp_path: Path, way: str) -> None:
    """To readers, who tell so, and to the writer; without one the index is made anew."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        writer.merge()
        older = writer.freshness
        model.publish(writer, entering(20))
    path = tmp_path / keys_of(tmp_path)[-1]
    written = path.read_bytes()
    path.unlink()
    if way != "missing":
        cut = {"short": written[:-8], "empty": b"", "another": bytes(len(written))}
        path.write_bytes(cut.get(way, written[:100] + b"?" + written[101:]))
    reader = MembershipReader(tmp_path)
    assert reader.freshness == older
    assert path.name in reader.damage[0]
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == 1
        assert writer.freshness == older


def test_an_index_all_of_whose_keys_are_damaged_is_built_anew(tmp_path: Path) -> None:
    """Nobody is told that these users are in nothing."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        for batch in range(4):
            model.publish(writer, entering(20 * batch))
    (name,) = keys_of(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IndexUnavailable, match=name):
        MembershipReader(tmp_path)
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == DAMAGED
    with model.build(tmp_path, 1 << 20):
        model.compare(MembershipReader(tmp_path))
        assert keys_of(tmp_path) == []


@pytest.mark.parametrize("way", ["missing", "short"])
def test_a_file_that_vanishes_under_its_writer_is_begun_anew(tmp_path: Path, way: str) -> None:
    """With the next generation all is well again."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        (name,) = keys_of(tmp_path)
        written = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        if way == "short":
            (tmp_path / name).write_bytes(written[:-1])
        model.publish(writer, entering(20))
        assert newest(tmp_path).keys != name
        model.compare(MembershipReader(tmp_path))


@pytest.mark.parametrize("room", [3_000, 30_000])
def test_a_full_disk_leaves_what_was_published(tmp_path: Path, room: int) -> None:
    """When keys are appended too, and those who read have their own to the end."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        reader = MembershipReader(tmp_path)
        staged = writer.stage(RawChanges.of(entering(100, 1_000)))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(DiskFull):
                writer.publish(staged, version=2, position={}, as_of_ms=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    model.compare(reader)
    model.compare(MembershipReader(tmp_path))
    with IndexWriter.open(tmp_path) as writer:
        assert writer.version == 1
        model.publish(writer, entering(100, 100))
        model.compare(reader)
        model.compare(MembershipReader(tmp_path))


def test_an_index_built_anew_has_no_keys_of_the_older(tmp_path: Path) -> None:
    """Whoever was erased is in no file."""
    model = IndexModel()
    with IndexWriter.open(tmp_path) as writer:
        model.publish(writer, entering(0))
        writer.merge()
        model.publish(writer, entering(20))
        assert keys_of(tmp_path)
    model.erase({("acme", f"{LONG}{n}") for n in range(40)})
    with model.build(tmp_path, 1 << 20):
        assert keys_of(tmp_path) == []
        assert all(LONG.encode() not in path.read_bytes() for path in tmp_path.iterdir())
