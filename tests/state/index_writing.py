"""A process that writes an index, to be read and to be killed: `FOLDER`.

Every payload moves one user from each of two segments into the other, so that in every generation
the two have as many members as there are users, each in exactly one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from state.index_writer import IndexWriter
from tests.state.index_model import Change, raw_changes

USERS = 40
MERGE_BYTES = 3_000


def user(number: int) -> str:
    """Name a user."""
    return f"user {number % USERS}"


def moved(number: int, at_ms: int) -> list[Change]:
    """Let a user leave the segment it is in, and enter the other one."""
    there = (number // USERS) % 2
    return [
        Change("acme", user(number), str(there), enters=False, at_ms=at_ms),
        Change("acme", user(number), str(1 - there), enters=True, at_ms=at_ms),
        Change("acme", f"visitor {number}", "visits", enters=True, at_ms=at_ms),
    ]


def main(folder: Path) -> None:
    """Publish until killed, one line of output a generation."""
    writer = IndexWriter.open(folder, merge_bytes=MERGE_BYTES)
    if writer.version == 0:
        first = [Change("acme", user(n), "0", enters=True, at_ms=0) for n in range(USERS)]
        visits = Change("acme", "visitor", "visits", enters=True, at_ms=0)
        other = [Change("acme", user(0), "1", each, at_ms=0) for each in (True, False)]
        staged = writer.stage(raw_changes([*first, visits, *other]))
        writer.publish(staged, version=1, position={}, as_of_ms=0)
    while True:
        sys.stdout.write(f"{writer.version}\n")
        sys.stdout.flush()
        version = writer.version + 1
        staged = writer.stage(raw_changes(moved(version - 2, version)))
        writer.publish(staged, version=version, position={"m[0]": version}, as_of_ms=version)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
