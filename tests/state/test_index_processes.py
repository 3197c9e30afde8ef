"""Readers beside a writer in another process, which is killed at any moment."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from heapline.clock import Deadline, SystemClock
from heapline.memberships import MembershipReader
from tests.state.index_writing import USERS, user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.memberships import Memberships

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 60.0
_ROUNDS: Final = 5


@contextmanager
def writing(folder: Path) -> Iterator[IO[str]]:
    """Run a writer, and kill it at the end; give what it prints."""
    program = [sys.executable, "-m", "tests.state.index_writing", str(folder)]
    with subprocess.Popen(program, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running.stdout
        finally:
            running.kill()


def check(view: Memberships) -> int:
    """See that a generation is whole; give its version."""
    version = view.freshness.as_of_ms
    moves = max(0, version - 1)
    moved_back, first_moved = moves // USERS, moves % USERS
    for number in range(USERS):
        there = (moved_back + (number < first_moved)) % 2
        assert view.segments_of("acme", user(number))[:1] == [str(there)], (version, number)
    assert view.count("acme", "0") + view.count("acme", "1") == USERS
    assert view.count("acme", "visits") == moves + 1
    assert view.is_member("acme", f"visitor {version - 2}", "visits") is (version > 1)
    return version


def test_a_reader_never_sees_half_a_payload(tmp_path: Path) -> None:
    """While another process publishes and merges as fast as it can."""
    with writing(tmp_path) as output:
        output.readline()
        reader = MembershipReader(tmp_path)
        deadline = Deadline(SystemClock(), _PATIENCE_SECONDS)
        seen = {check(reader.pinned())}
        bases = {reader.pinned().base.container.path.name}
        while len(seen) < 40 or len(bases) < 3:
            assert not deadline.passed(), (len(seen), len(bases))
            version = check(reader.pinned())
            assert version >= max(seen)
            seen.add(version)
            bases.add(reader.pinned().base.container.path.name)


def test_a_killed_writer_leaves_a_whole_generation(tmp_path: Path) -> None:
    """At least the last it said it had published; the next writer goes on from there."""
    chance, told = random.Random(7), 0
    for _ in range(_ROUNDS):
        with writing(tmp_path) as output:
            for _ in range(chance.randrange(1, 30)):
                told = max(told, int(output.readline()))
        version = check(MembershipReader(tmp_path).pinned())
        assert version >= told
