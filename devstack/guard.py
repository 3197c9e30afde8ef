"""`python -m devstack.guard FOLDER`: ends a throw-away world when whoever wanted it is gone.

It reads its standard input, which the owner holds open. When the owner closes it, or dies in any
way at all, the world is ended and its folder deleted.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Final

_SETTLE_SECONDS: Final = 0.3
"""An owner killed in mid-start may leave a server that has not yet written down its process id."""


def main(folder: Path) -> None:
    """Wait for the end of standard input, then end and delete the world."""
    sys.stdin.buffer.read()
    from devstack.stack import Stack  # noqa: PLC0415 -- stays small while it waits

    stack = Stack(folder)
    if any(server.is_running() for server in stack.world().servers):
        time.sleep(_SETTLE_SECONDS)
    for server in stack.world().servers:
        server.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
