"""The command of the benchmarks, with a tiny run of all that is quick."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
import pytest

from bench import full_speed
from bench.__main__ import ALL, measurements, parse, report
from bench.child import child, counting_heap
from bench.machine import machine
from bench.report import Section
from bench.throughput import measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World


def test_everything_is_measured_unless_less_is_asked_for() -> None:
    """`--quick` leaves out what takes minutes, unless it is named."""
    assert measurements(parse([])) == list(ALL)
    assert measurements(parse(["--quick"])) == [
        name for name in ALL if name not in {"isolation", "pacing"}
    ]
    assert measurements(parse(["--quick", "--only", "pacing"])) == ["pacing"]
    assert measurements(parse(["--only", "memory", "--only", "mapping"])) == ["mapping", "memory"]


def test_as_many_events_as_the_requirement_names() -> None:
    """200,000, fewer when quick, and what is asked for before all."""
    assert parse([]).events == 200_000
    assert parse(["--quick"]).events < 200_000
    assert parse(["--quick", "--events", "7"]).events == 7


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--events", "0"], ["--only", "nothing"]])
def test_what_cannot_be_measured_is_a_mistake_of_the_caller(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told before anything is started."""
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_figures_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each section as soon as it is there: an interrupted run keeps what it measured."""

    def interrupted() -> Iterator[Section]:
        yield machine()
        yield Section("speed", ["fast"], {"events": 3})
        raise KeyboardInterrupt

    written = tmp_path / "figures.json"
    with pytest.raises(KeyboardInterrupt):
        report(interrupted(), written)
    assert "== speed ==\nfast" in capsys.readouterr().out
    figures = orjson.loads(written.read_bytes())
    assert figures["machine"]["cores"] == os.cpu_count()
    assert figures["speed"] == {"events": 3}


def test_a_child_that_fails_is_told_with_its_last_words() -> None:
    """Not with a lack of figures."""
    with (
        child("bench.counting_server", env={}) as running,
        pytest.raises(RuntimeError, match="arguments are required: --port-file"),
    ):
        running.result(20)


@pytest.mark.slow
def test_a_tiny_round_of_throughput(world: World) -> None:
    """Both deliver every event, and the report compares them."""
    with counting_heap() as heap:
        section = measure(world, heap, count=600, rounds=1)
    assert section.figures["forwarder"]["requests"]["median"] < 60
    assert section.figures["baseline_lone"]["requests"]["median"] == 600
    assert section.figures["baseline_alike"]["requests"]["median"] == 600
    for ratio in section.figures["ratios"].values():
        assert ratio["ratio"]["median"] > 0
        assert ratio["verdict"] in {"PASS", "MISSED"}


@pytest.mark.slow
def test_a_tiny_round_at_full_speed(world: World) -> None:
    """The forwarder and the plain loop deliver every event, late answers or many workspaces."""
    with counting_heap() as heap:
        section = full_speed.measure(world, heap, count=600, rounds=1, many_workspaces=60)
    assert section.figures["ratio"]["median"] > 0
    assert section.figures["with_latency"] > 0
    assert section.figures["with_many_workspaces"] > 0
