"""What the process that reads tells: everything in its turn, errors with what they mean."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.assembler import MEMBERSHIPS
from consumers.materializer.frames import Came, FrameReader, FrameWriter
from consumers.materializer.pages import Run
from consumers.materializer.parts import ChangesRead, EndRead
from consumers.materializer.reading_process import serve
from consumers.materializer.source import Displaced
from heapline.errors import MustStop, NotReady, RegistryUnavailable
from state.raw_changes import RawChanges
from tests.fakes.clock import FakeClock
from tests.fakes.materializing import FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.materializer.parts import Part

END: Part = EndRead(MEMBERSHIPS, 0, 9)


@contextmanager
def pipe() -> Iterator[tuple[FrameReader, FrameWriter]]:
    """Give the two sides of a pipe."""
    out, into = os.pipe()
    with (
        os.fdopen(out, "rb", buffering=0) as reading,
        os.fdopen(into, "wb", buffering=0) as writing,
    ):
        yield FrameReader(reading), FrameWriter(writing)


def served(*batches: list[Part] | Exception) -> list[Came]:
    """Read these batches and a last error, as the process does."""
    clock = FakeClock()
    source = FakeSource(clock)
    source.batches.extend([*batches, Displaced("cut")])
    with pipe() as (reader, writer):
        serve(source, Counter(), writer, clock.sleep)
        told: list[Came] = []
        while not told or not isinstance(told[-1].error, Displaced):
            told.append(reader.read(60))
    return told


def test_frames_of_any_size_come_whole() -> None:
    """A pipe takes and gives a part of a long one at a time; nothing is there before it is."""
    sent: list[object] = [b"x" * 3_000_000, {"a": 1}, None, b""]
    with pipe() as (reader, writer):
        assert reader.read(0) is None

        def write() -> None:
            for each in sent:
                writer.write([each])

        thread = threading.Thread(target=write)
        thread.start()
        assert [reader.read(60) for _ in sent] == [[each] for each in sent]
        thread.join()


def test_a_side_that_is_gone_is_noticed() -> None:
    """Whether between two frames or within one."""
    for written in (b"", b"\0\0", b"\0\0\0\0\0\0\0\x09half"):
        out, into = os.pipe()
        os.write(into, written)
        os.close(into)
        with os.fdopen(out, "rb", buffering=0) as reading, pytest.raises(EOFError):
            FrameReader(reading).read(60)


def test_parts_and_errors_come_in_their_turn() -> None:
    """A registry that is away is told, and waited for; what ends reading comes last."""
    columns = RawChanges.of([("acme", "ada", "s1", True, 9, None)])
    changes: Part = ChangesRead(0, Run(columns, [(1, 1)], 1))
    told = served([changes], RegistryUnavailable("away", retry_after_seconds=3), [END])
    (first,) = told[0].parts
    assert isinstance(first, ChangesRead)
    assert first.run.columns.facts() == columns.facts()
    assert first.run[1:] == ([(1, 1)], 1)
    assert isinstance(told[1].error, RegistryUnavailable)
    assert (str(told[1].error), told[1].error.retry_after_seconds) == ("away", 3)
    assert (told[2].parts, told[2].error) == ([END], None)
    assert str(told[3].error) == "cut"


def test_an_error_nobody_expected_tells_where_it_came_from() -> None:
    """It may be of a kind that cannot be sent, and its place is nothing to guess."""

    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(lambda: one + two)

    with pipe() as (reader, writer):
        source = FakeSource(FakeClock())
        source.batches.append(Odd(1, 2))
        serve(source, Counter(), writer)
        error = reader.read(60).error
    assert isinstance(error, MustStop)
    assert "Odd" in str(error)
    assert "tests/fakes/materializing.py" in "".join(error.__notes__)


def test_our_own_errors_keep_their_kind_without_what_caused_them() -> None:
    """A librdkafka error behind them cannot be sent."""
    error = NotReady("topic m is gone: run `heapline topics apply`")
    error.__cause__ = Exception(lambda: 1)
    with pipe() as (reader, writer):
        source = FakeSource(FakeClock())
        source.batches.append(error)
        serve(source, Counter({"segment": 2}), writer)
        came = reader.read(60)
    assert isinstance(came.error, NotReady)
    assert str(came.error) == str(error)
    assert came.unreadable == {"segment": 2}
