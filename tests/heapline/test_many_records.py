from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from heapline.many_records import expect_many_records

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _usual() -> Iterator[None]:
    """Look for cycles as usual afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_usual")
def test_many_objects_cause_no_search_and_more_of_them_do() -> None:
    """Ten thousand records are read without one; a cycle goes all the same, some time later."""
    gc.collect()
    expect_many_records()
    gone = weakref.ref(_Knot())
    records = [[number] for number in range(10_000)]
    assert gone() is not None
    records += [[number] for number in range(200_000)]
    assert gone() is None


_HOLES = """
from bench.reading import resident_bytes
from heapline.many_records import give_back_free_memory

pieces = [bytes([number % 256]) * 60_000 for number in range(1_000)]
last = pieces[-1]
before = resident_bytes()
pieces.clear()
print(before - resident_bytes())
give_back_free_memory()
print(before - resident_bytes())
"""
"""What is in the heap, and not in mappings of its own, and lies before something that stays."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' malloc has other habits")
def test_holes_in_the_heap_are_given_back() -> None:
    """Sixty megabytes that went stay resident behind the last piece until they are asked for."""
    done = subprocess.run([sys.executable, "-c", _HOLES], check=True, capture_output=True)
    by_itself, asked_for = map(int, done.stdout.split())
    assert by_itself < 20_000_000
    assert asked_for > 40_000_000
