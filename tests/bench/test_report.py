"""The arithmetic of the report: medians, quantiles, ratios, targets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import section as latency_section
from bench.memory import Held
from bench.memory import section as memory_section
from bench.report import Section, Spread, judged, quantile, table
from bench.throughput import Round, Speed, section, speed
from heapline.settings import ForwarderSettings

READINGS = st.lists(st.floats(0, 1e9), min_size=1)


def made(events: int, cpu: float, *, startup: float = 1.0) -> Speed:
    """Make a run that spent so much processor time, and as much again on the clock."""
    return Speed(
        events,
        requests=events // 1_000 or events,
        wall=2 * cpu,
        cpu=cpu,
        total_wall=2 * cpu + startup,
        total_cpu=cpu + startup,
        startup_wall=startup,
        startup_cpu=startup,
        peak_bytes=100 * 2**20,
    )


@given(READINGS)
def test_the_middle_lies_between_the_extremes(readings: list[float]) -> None:
    """Whatever the readings."""
    spread = Spread.of(readings)
    assert spread.least <= spread.middle <= spread.most
    assert {spread.least, spread.most} <= set(readings)


def test_the_middle_of_an_even_number_is_between_the_two() -> None:
    """The median, not the mean: one slow run does not move it."""
    assert Spread.of([1, 2, 4, 1_000]).middle == 3


def test_no_readings_have_no_spread() -> None:
    """Nothing measured must not look like zero."""
    with pytest.raises(ValueError, match="no readings"):
        Spread.of([])
    with pytest.raises(ValueError, match="no readings"):
        quantile([], 0.5)


@given(READINGS, st.floats(0.01, 1))
def test_a_quantile_is_exceeded_by_no_more_than_its_share_says(
    readings: list[float], share: float
) -> None:
    """At least the share lies at or below it, and it is one of the readings."""
    found = quantile(readings, share)
    assert found in readings
    assert sum(reading <= found for reading in readings) >= share * len(readings)


def test_the_p99_of_a_hundred_leaves_one_out() -> None:
    """The slowest of a hundred is not its p99."""
    assert quantile([float(n) for n in range(100)], 0.99) == 98.0
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_a_target_is_reached_from_either_side() -> None:
    """Exactly the target is enough."""
    assert (judged(40.0, 40.0), judged(39.9, 40.0)) == ("PASS", "MISSED")
    assert (judged(0, 0, at_most=True), judged(1, 0, at_most=True)) == ("PASS", "MISSED")


def test_columns_are_aligned() -> None:
    """The first to the left, the others to the right."""
    assert table([("a", 1), ("bb", 10)]) == ["a    1", "bb  10"]


def test_a_section_has_a_heading() -> None:
    """For people who look for it."""
    assert Section("memory", ["a", "b"]).text() == "== memory ==\na\nb"


def test_start_up_is_told_apart_from_the_work() -> None:
    """Readings of a child become seconds of start-up, of work and of all."""
    run = {
        "first": {"monotonic": 12.0, "cpu_seconds": 1.5},
        "last": {"monotonic": 16.0, "cpu_seconds": 3.5},
        "ended": {"monotonic": 17.0, "cpu_seconds": 4.0},
        "peak_bytes": 1,
    }
    seen = speed(run, 10.0, events=100, requests=2)
    assert (seen.startup_wall, seen.wall, seen.total_wall) == (2.0, 4.0, 7.0)
    assert (seen.startup_cpu, seen.cpu, seen.total_cpu) == (1.5, 2.0, 4.0)
    assert (seen.per_cpu_second, seen.per_second, seen.per_cpu_second_in_all) == (50.0, 25.0, 25.0)


def test_the_ratio_is_per_event_whatever_the_number_of_events() -> None:
    """200,000 events in 4 s against 5,000 in 4 s are forty times as many."""
    round_ = Round(
        made(200_000, 4.0), made(5_000, 4.0), lone=made(5_000, 2.0), lean=made(5_000, 1.0)
    )
    assert round_.ratio(round_.alike) == 40.0
    assert round_.ratio(round_.lone) == 20.0
    assert round_.strict_ratio(round_.alike) == 32.0


def test_a_miss_is_printed_and_each_baseline_judged_by_itself() -> None:
    """The median of the rounds decides."""
    rounds = [
        Round(made(200_000, 4.0), *(made(5_000, cpu / part) for part in (1, 2, 4)))
        for cpu in (3.0, 5.0, 6.0)
    ]
    written = section(rounds)
    verdicts = [ratio["verdict"] for ratio in written.figures["ratios"].values()]
    assert verdicts == ["PASS", "MISSED", "MISSED"]
    told = [" ".join(line.split()) for line in written.lines]
    assert any("50.0 (30.0-60.0) PASS" in line for line in told)
    assert any("25.0 (15.0-30.0) MISSED" in line for line in told)


def test_memory_is_told_beside_the_bound_that_is_set() -> None:
    """The most of any way of being down is judged."""
    held = Held("503", 61.4, 50_000_000, 300_000_000, 250_000_000, {"deferred over_limit": 1})
    text = memory_section(1_000_000, [held]).text()
    bound = ForwarderSettings().memory_bytes // 2**20
    assert f"{bound} MiB of records" in text
    assert text.splitlines()[5].split() == ["503", "50", "300", "250", "61"]
    assert "at most 380 MB: PASS" in text
    much = memory_section(1, [held, replace(held, holding_bytes=381_000_000)])
    assert "at most 380 MB: MISSED" in much.text()


def test_delays_are_told_with_their_spread() -> None:
    """Starts by median and extremes, lone events by quantiles."""
    told = latency_section(Spread.of([0.9, 0.7, 2.0]), [0.01] * 99 + [0.3])
    assert told.figures["start_to_first_delivery_seconds"]["median"] == 0.9
    assert told.figures["lone_event_p50_seconds"] == 0.01
    assert "0.90 s (0.70 to 2.00)" in told.text()
