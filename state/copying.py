"""Copies files when asked over standard input; a program of its own, run by `state.replicas`.

A process of its own, because a process that closes any descriptor of the live DuckDB file loses
DuckDB's lock on it (fcntl(2), POSIX record locks): the writer must never open it a second time.

Each line is a JSON object `{"source": path, "targets": [path, …]}`; each is answered by a line: an
empty one, or what went wrong. The first target is a copy, the others are further names of the same
bytes; each appears complete, by rename.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path
from typing import IO, Final

_HERE: Final = -100
"""AT_FDCWD: a relative path is one of the working directory."""
_EXCHANGE: Final = 2
"""RENAME_EXCHANGE, see renameat2(2)."""
MODE: Final = 0o440
"""Readers only: what opens a replica for writing is refused, unless it is root's."""


def copy(source: Path, targets: list[Path], asked_by: int) -> None:
    """Copy a file; under each target stands the old file or all of the new one, never a part.

    Args:
        source: the store's file.
        targets: paths in one file system.
        asked_by: the writer. If it is gone by the end, its successor may have been changing the
            file meanwhile, and the copy is thrown away.

    Raises:
        OSError: it did not work; targets not reached yet are as before.
    """
    first, *others = targets
    partial = _partial(first)
    partial.unlink(missing_ok=True)
    # Not forced to the disk: after a crash of the machine a new one is made anyway.
    shutil.copyfile(source, partial)
    partial.chmod(MODE)
    if os.getppid() != asked_by:
        partial.unlink()
        raise ProcessLookupError("the writer is gone")
    partial.replace(first)
    for other in others:
        partial = _partial(other)
        partial.unlink(missing_ok=True)
        os.link(first, partial)
        # A log that somebody's writing session left behind belongs to the file that goes now.
        other.with_name(other.name + ".wal").unlink(missing_ok=True)
        _put(partial, other)


def _put(partial: Path, target: Path) -> None:
    """Let a path stand for another file, at once.

    Where the kernel can, the two are exchanged: a file that replaces another is written out by ext4
    first (ext4(5), auto_da_alloc), which takes longer than copying it.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    paths = _HERE, os.fsencode(partial), _HERE, os.fsencode(target)
    if rename is not None and rename(*paths, _EXCHANGE) == 0:
        partial.unlink()
    else:  # there is no target yet, or the file system exchanges nothing
        partial.replace(target)


def serve(asked: IO[str], answers: IO[str]) -> None:
    """Do what each line asks, until there are no more."""
    asked_by = os.getppid()
    for line in asked:
        job = json.loads(line)
        try:
            copy(Path(job["source"]), [Path(each) for each in job["targets"]], asked_by)
            problem = ""
        except OSError as error:
            problem = str(error).replace("\n", " ")
        answers.write(problem + "\n")
        answers.flush()


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
