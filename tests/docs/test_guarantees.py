"""Every promise of the documentation names tests that exist."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from tests.command import ROOT

_PAGE: Final = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
_PROMISES: Final = [line.split(" | ", 1) for line in _PAGE.splitlines() if line.startswith("| **")]
_NAMED: Final = re.findall(r"`(tests/[^`]+)`", _PAGE)


def _tests_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, found)}


def test_there_are_promises() -> None:
    """The tables below are read at all."""
    assert len(_PROMISES) > 20


@pytest.mark.parametrize(("promise", "proof"), _PROMISES, ids=[each[0][:60] for each in _PROMISES])
def test_a_promise_has_a_proof(promise: str, proof: str) -> None:
    """At least one test of this project is named for each."""
    assert re.search(r"`tests/[^`]+`", proof), promise


@pytest.mark.parametrize("named", sorted(set(_NAMED)))
def test_a_named_test_exists(named: str) -> None:
    """Under that name, in that file."""
    path, _, name = named.partition("::")
    tests = _tests_of(path)
    assert name in tests if name else any(each.startswith("test_") for each in tests)
