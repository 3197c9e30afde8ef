"""A writer to be killed or starved: `python -m tests.state.writing FOLDER [LIMIT_BYTES]`.

Applies payloads for as long as it lives, each of which names its version everywhere, and prints
the version of each after it is committed.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heapline.errors import HeaplineError
from state.folder import StateFolder
from state.store import Store
from tests.state.payloads import Coder, segment_facts

if TYPE_CHECKING:
    from state.payload import Payload
    from tests.state.payloads import Change

ENTERING: Final = 200
STAYING: Final = 150
"""Of those who enter with one payload, so many do not leave with the next."""


def numbered(coder: Coder, version: int) -> Payload:
    """Give the payload that makes a version."""
    changes: list[Change] = [
        ("acme", f"u{version}-{number}", "S1", True, version, f"sync-{version}")
        for number in range(ENTERING)
    ]
    if version > 1:
        changes += [
            ("acme", f"u{version - 1}-{number}", "S1", False, version, f"sync-{version}")
            for number in range(ENTERING - STAYING)
        ]
    return coder.payload(
        changes,
        segments=(segment_facts(offset=version),),
        positions={("memberships", 0): version},
        now_ms=version,
    )


def main(folder: StateFolder, limit_bytes: int | None) -> int:
    """Write until the end, or until it fails; tells the error on standard output."""
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    try:
        with Store(folder, now_ms=1) as store:
            coder = Coder.of(store)
            while True:
                _tell(str(store.apply(numbered(coder, store.version + 1))))
                if store.version % 7 == 0:
                    store.checkpoint()
    except HeaplineError as error:
        _tell(f"{type(error).__name__}: {error}")
        return 1


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.exit(main(StateFolder(Path(sys.argv[1])), limit))
