from __future__ import annotations

import gc
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
