"""What decides on many records: imported once, when there are many, beside all else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.forwarder.columns import Columns
from consumers.forwarder.dispatcher import Dispatcher
from consumers.forwarder.intakes import Intakes
from consumers.forwarder.offsets import OffsetTracker
from heapline.kafka.codec import Decoder
from heapline.settings import ForwarderSettings, LimitSettings
from tests.consumers.forwarder.samples import EVENTS_0, at
from tests.fakes.connections import FakeConnections
from tests.fakes.schema_source import FakeSchemas

if TYPE_CHECKING:
    from consumers.forwarder.record import Record

ROOT = Path(__file__).parents[3]
_FOUND = """
import os, sys, threading

begun = []

def note(*_):
    begun.append(threading.current_thread())
    sys.setprofile(None)

threading.setprofile(note)

from consumers.forwarder.intakes import Intakes

heavy = ("polars", "numpy", "consumers.forwarder.intake", "consumers.forwarder.message_columns")
intakes = Intakes(None, None)
print("polars's threads:", os.environ["POLARS_MAX_THREADS"])
print("before:", [name for name in heavy if name in sys.modules])
if "prepared" in sys.argv:
    intakes.prepare()
    intakes.prepare()
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
    print("missing:", [name for name in heavy if name not in sys.modules])
    print("begun:", [each.name for each in begun])
"""


def found(*arguments: str, **environment: str) -> list[str]:
    """Say what a fresh process finds."""
    kept = {name: each for name, each in os.environ.items() if name != "POLARS_MAX_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", _FOUND, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_nothing_heavy_is_imported_until_there_is_need() -> None:
    """A lone event waits for neither polars nor numpy; preparing brings both, in one thread."""
    assert found("prepared") == [
        "polars's threads: 1",
        "before: []",
        "missing: []",
        "begun: ['import']",
    ]


@pytest.mark.slow
def test_whoever_sets_polars_threads_is_heard() -> None:
    """One is the default only."""
    assert found(POLARS_MAX_THREADS="3") == ["polars's threads: 3", "before: []"]


def test_an_intake_takes_for_this_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unprepared, too: what it takes is noted there, and what it cannot decide comes back."""
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    decoder = Decoder("CommandAIEvent", FakeSchemas({}))
    connections = FakeConnections().table
    dispatcher = Dispatcher(
        LimitSettings(), ForwarderSettings(), decoder, connections, random.Random(0)
    )
    dispatcher.assign(EVENTS_0, OffsetTracker(0))
    undecided: list[Record] = []
    intake = Intakes(dispatcher, decoder).make()
    columns = Columns(
        [EVENTS_0],
        np.zeros(2, np.int64),
        np.array([3, 5]),
        [b"acme"] * 2,
        [b"?"] * 2,
        [[]] * 2,
        0.0,
    )
    intake.take(columns, at(0), undecided.append)
    assert [each.offset for each in undecided] == [3, 5]
    assert dispatcher.trackers[EVENTS_0].position == 6
