"""Trying a paused workspace at once."""

from __future__ import annotations

import pytest

from heapline.errors import CallerMistake
from heapline.heap.connection import Connection
from heapline.words import AppId, Workspace
from operations.try_now import try_now
from tests.fakes.clock import FakeClock
from tests.fakes.connection_rows import FakeRows

ACME = Connection(Workspace("acme"), 3, 0, AppId("11"))


def test_the_same_is_written_anew() -> None:
    """Only version and time differ, which is what a forwarder looks at."""
    rows = FakeRows(FakeClock(), ACME)
    written = try_now(rows, Workspace("acme"))
    assert (written.version, written.app_id) == (4, AppId("11"))
    assert rows.list() == (written,)


def test_what_is_not_there_cannot_be_tried() -> None:
    """Nothing is made."""
    rows = FakeRows(FakeClock(), ACME)
    with pytest.raises(CallerMistake, match="shop"):
        try_now(rows, Workspace("shop"))
    assert rows.list() == (ACME,)
