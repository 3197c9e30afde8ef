"""`make` on a machine that lacks something says what."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_OLD = """#!/bin/sh
exec {python} -c 'import sys
sys.version_info = (3, 9, 2)
exec(sys.argv[2])' "$@"
"""
_WITHOUT_VENV = """#!/bin/sh
case "$2" in *ensurepip*) echo "No module named ensurepip" >&2; exit 1;; esac
exec {python} "$@"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of the project as `make` looks at before it has an environment."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def _made(clone: Path, python: str) -> str:
    """Run `make demo` with a Python that will not do; give what it says."""
    done = subprocess.run(
        ["make", "demo", f"PYTHON={python}"],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert not (clone / ".venv").exists()
    assert "Traceback" not in done.stderr
    return done.stderr


def _python(clone: Path, script: str) -> str:
    path = clone / "python"
    path.write_text(script.format(python=sys.executable), "utf-8")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_is_told_its_version(clone: Path) -> None:
    """And how to name another."""
    told = _made(clone, _python(clone, _OLD))
    assert "heapline needs Python 3.11 or newer, and this is 3.9" in told
    assert "make PYTHON=" in told


def test_no_python_is_told(clone: Path) -> None:
    """By the name that was looked for."""
    told = _made(clone, "python-of-nobody")
    assert "there is no python-of-nobody here" in told
    assert "Python 3.11 or newer" in told


def test_no_venv_module_names_the_package(clone: Path) -> None:
    """Debian leaves it out."""
    assert "python3-venv" in _made(clone, _python(clone, _WITHOUT_VENV))
