"""Files of the index damaged in any way: the right answers, older ones, or an error."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.memberships import IndexDamaged, IndexUnavailable, MembershipReader
from heapline.memberships.base import open_base
from heapline.memberships.container import VERSION, encoded, open_container
from heapline.memberships.overlay import open_overlay
from state.index_writer import IndexWriter
from tests.state.index_model import Change, IndexModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.memberships import Memberships

USERS: Final = tuple(f"user {n}" for n in range(40))


class Original:
    """An index of two generations, and what each answers.

    Attributes:
        folder: where it is.
        answers: by generation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[int, dict[str, list[tuple[str, int]]]] = {}
        model = IndexModel()
        with IndexWriter.open(folder) as writer:
            self._publish(writer, model, range(30))
            writer.merge()
            self._note()
            self._publish(writer, model, range(20, 40))
            self._note()
            self._publish(writer, model, range(5, 9))
            self._note()

    def _publish(self, writer: IndexWriter, model: IndexModel, users: range) -> None:
        model.publish(
            writer,
            [
                Change("acme", USERS[n], str(segment), n % 3 != segment, 10 * n + segment)
                for n in users
                for segment in range(3)
            ],
        )

    def _note(self) -> None:
        view = MembershipReader(self.folder).pinned()
        self.answers[view.freshness.generation] = answers(view)


def answers(view: Memberships) -> dict[str, list[tuple[str, int]]]:
    """Ask about everybody, in every way."""
    found = {user: view.memberships_of("acme", user) for user in USERS}
    for row in view.segments("acme"):
        held = [user for user in USERS if row.segment_id in dict(found[user])]
        assert sorted(view.members("acme", row.segment_id)) == sorted(held)
        flags = view.check_users("acme", USERS, row.segment_id)
        assert flags == [user in held for user in USERS]
    return found


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    """An index nobody changes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Original(Path(folder) / "index")


def damage(path: Path, data: st.DataObject) -> None:
    """Flip bytes, cut, lengthen, empty or remove a file."""
    written = bytearray(path.read_bytes())
    way = data.draw(st.sampled_from(["flip", "flip", "flip", "cut", "longer", "zero", "remove"]))
    at = data.draw(st.integers(0, len(written) - 1))
    if way == "flip":
        for place in {at, *data.draw(st.lists(st.integers(0, len(written) - 1), max_size=3))}:
            written[place] ^= data.draw(st.integers(1, 255))
    elif way == "cut":
        del written[at:]
    elif way == "longer":
        written += bytes(at)
    elif way == "zero":
        end = min(len(written), at + 4096)
        written[at:end] = bytes(end - at)
    path.unlink()
    if way != "remove":
        path.write_bytes(written)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_never_makes_a_wrong_answer(original: Original, data: st.DataObject) -> None:
    """Any file, any bytes; several files too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "index"
        shutil.copytree(original.folder, folder)
        files = sorted(folder.iterdir())
        for path in data.draw(st.lists(st.sampled_from(files), min_size=1, unique=True)):
            damage(path, data)
        try:
            view = MembershipReader(folder).pinned()
        except IndexUnavailable:
            return
        assert answers(view) == original.answers[view.freshness.generation]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_bytes_that_are_no_file_of_the_index(data: st.DataObject) -> None:
    """Are refused with an error that names the file."""
    written = data.draw(st.binary(max_size=200) | st.binary(max_size=200).map(b"HEAPLIDX".__add__))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base-000000000001.index"
        path.write_bytes(written)
        for open_file in (open_base, open_overlay):
            with pytest.raises(IndexDamaged, match=path.name):
                open_file(path)


def test_a_file_of_another_kind_or_version_is_refused(tmp_path: Path) -> None:
    """Whole as it may be."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(encoded("base", {}, {})))
    open_container(path, "base")
    with pytest.raises(IndexDamaged, match="kind base, not overlay"):
        open_container(path, "overlay")
    with pytest.raises(IndexDamaged, match="cannot be read"):
        open_container(tmp_path / "none", "base")
    written = bytearray(path.read_bytes())
    written[8:12] = (2).to_bytes(4, "little")
    written[28:32] = zlib.crc32(written[:28]).to_bytes(4, "little")
    path.write_bytes(written)
    with pytest.raises(IndexDamaged, match=f"is of version 2; this program reads {VERSION}"):
        open_container(path, "base")


def test_a_damaged_folder_is_told_as_it_is(original: Original, tmp_path: Path) -> None:
    """Every file with what is wrong with it, and what to do."""
    folder = tmp_path / "index"
    shutil.copytree(original.folder, folder)
    for path in folder.glob("*.index"):
        path.write_bytes(b"")
    with pytest.raises(IndexUnavailable) as raised:
        MembershipReader(folder)
    for path in folder.glob("overlay-*.index"):
        assert path.name in str(raised.value)
    with pytest.raises(IndexUnavailable, match="heapline materialize"):
        MembershipReader(tmp_path / "nowhere")
