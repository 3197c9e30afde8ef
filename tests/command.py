"""Running the `heapline` command as a person does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
COMMAND: Final = (sys.executable, "-c", "from cli.main import main; main()")


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give this process's environment without settings of heapline, but with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEAPLINE_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(more or {})}


def heapline(
    *arguments: str,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_seconds: float = 150.0,
) -> subprocess.CompletedProcess[str]:
    """Run one command line in a folder, where a `.env` file would be read."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=clean_environment(settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
