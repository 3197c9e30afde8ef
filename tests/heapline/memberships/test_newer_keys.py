"""The file of keys that grows: what a generation reads of it, and what is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from heapline.memberships.container import checksum
from heapline.memberships.errors import IndexDamaged
from heapline.memberships.newer_keys import NO_KEYS, ToldKeys, open_keys

if TYPE_CHECKING:
    from pathlib import Path

WORDS = np.random.default_rng(1).integers(0, 1 << 63, 3_000, np.uint64)
NAME = "newer-000000000001.keys"


def told(words: int, of: np.ndarray = WORDS) -> ToldKeys:
    """Tell of the first words."""
    return ToldKeys(NAME, words, checksum(of[:words].view(np.uint8)))


def write(folder: Path, words: int = WORDS.size, of: np.ndarray = WORDS) -> Path:
    """Write the first words, in place."""
    path = folder / NAME
    path.touch()
    with path.open("r+b") as file:
        file.write(of[:words].tobytes())
        file.truncate()
    return path


@pytest.mark.parametrize("words", [1, 511, 512, 513, 2_999, 3_000])
def test_a_generation_reads_what_is_its_own(tmp_path: Path, words: int) -> None:
    """Whatever stands behind that, and whatever was known before."""
    write(tmp_path)
    opened = open_keys(tmp_path, told(words), None)
    assert opened.data[:] == WORDS[:words].tobytes()
    for before in (1, 511, 512, 1_024, 2_999, 3_000):
        known = open_keys(tmp_path, told(before), None)
        again = open_keys(tmp_path, told(words), known)
        assert again.data[:] == opened.data[:]
        assert again.summed == opened.summed


def test_nobody_came(tmp_path: Path) -> None:
    """Then there is no file."""
    assert open_keys(tmp_path, None, None) is NO_KEYS
    write(tmp_path)
    assert open_keys(tmp_path, told(5), NO_KEYS).name == NAME


@pytest.mark.parametrize("left", [0, 1, 2_999 * 8, 3_000 * 8 - 1])
def test_a_file_that_is_too_short_is_damaged(tmp_path: Path, left: int) -> None:
    """It is not mapped: what is read behind the end of a file ends the process."""
    path = write(tmp_path)
    known = open_keys(tmp_path, told(2_000), None)
    path.write_bytes(path.read_bytes()[:left])
    for before in (None, known):
        with pytest.raises(IndexDamaged, match=f"{NAME}: cannot be read"):
            open_keys(tmp_path, told(3_000), before)


def test_a_missing_file_is_damaged(tmp_path: Path) -> None:
    """And named."""
    with pytest.raises(IndexDamaged, match=f"{NAME}: cannot be read"):
        open_keys(tmp_path, told(3_000), None)


@pytest.mark.parametrize("place", [0, 511, 512, 2_998, 2_999])
def test_altered_keys_are_damaged(tmp_path: Path, place: int) -> None:
    """Wherever; behind what a generation reads it is no matter."""
    altered = WORDS.copy()
    altered[place] ^= np.uint64(1 << 40)
    write(tmp_path, of=altered)
    with pytest.raises(IndexDamaged, match=r"the first 24000 bytes"):
        open_keys(tmp_path, told(3_000), None)
    if place:
        open_keys(tmp_path, told(place), None)


def test_what_was_checked_is_not_checked_again(tmp_path: Path) -> None:
    """Only what was appended since; of another file under the name, all is."""
    write(tmp_path, 2_000)
    known = open_keys(tmp_path, told(2_000), None)
    altered = WORDS.copy()
    altered[700] += np.uint64(1)
    path = write(tmp_path, of=altered)
    open_keys(tmp_path, told(3_000), known)
    altered[2_500] += np.uint64(1)
    write(tmp_path, of=altered)
    with pytest.raises(IndexDamaged):
        open_keys(tmp_path, told(3_000), known)
    altered = WORDS.copy()
    altered[700] += np.uint64(1)
    path.unlink()
    write(tmp_path, of=altered)
    with pytest.raises(IndexDamaged):
        open_keys(tmp_path, told(3_000), known)
