from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from heapline.clock import SystemClock
from heapline.errors import KafkaUnavailable
from operations.doctor import Check, Level, Result, examine, missing_need, next_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLOCK = SystemClock()


def saying(name: str, level: Level) -> Callable[[], Iterable[Result]]:
    """Give a check's work that comes out so."""
    return lambda: [Result(name, level, "")]


def check(name: str, level: Level = Level.OK, needs: tuple[str, ...] = ()) -> Check:
    """Give a check that comes out so."""
    return Check(name, saying(name, level), needs)


@given(st.lists(st.tuples(st.sampled_from(Level), st.sets(st.integers(0, 9))), max_size=8))
def test_every_check_is_told_once_and_in_order(shape: list[tuple[Level, set[int]]]) -> None:
    """Whatever needs whatever, nothing is forgotten, and failures skip what needs them."""
    checks = [
        check(str(i), level, tuple(str(n) for n in needs if n < i))
        for i, (level, needs) in enumerate(shape)
    ]
    results = {each.check: each.level for each in examine(checks, 5, CLOCK)}
    assert list(results) == [each.name for each in checks]
    for each, (level, _) in zip(checks, shape, strict=True):
        bad = any(results[need] in {Level.FAIL, Level.SKIPPED} for need in each.needs)
        assert results[each.name] == (Level.SKIPPED if bad else level)


def test_a_skipped_check_says_because_of_which() -> None:
    """The cause stands there, so that a person mends that first."""
    results = examine([check("a", Level.FAIL), check("b", needs=("a",))], 5, CLOCK)
    assert results[1].detail == "not checked, because a is not in order"


def test_waiting_for_the_end_is_not_needing_success() -> None:
    """`after` orders, `needs` also judges."""
    later = Check("b", saying("b", Level.OK), after=("a",))
    assert next_checks([later], {}) == []
    done = {"a": [Result("a", Level.FAIL, "")]}
    assert next_checks([later], done) == [later]
    assert missing_need(later, done) is None


def test_a_check_that_hangs_is_given_up_and_the_others_are_told() -> None:
    """One deadline for those that run side by side."""
    release = threading.Event()

    def hang() -> list[Result]:
        release.wait(30)
        return []

    started = time.monotonic()
    results = examine([Check("hung", hang), check("fine")], 0.3, CLOCK)
    assert time.monotonic() - started < 20
    release.set()
    assert [(each.check, each.level) for each in results] == [
        ("hung", Level.FAIL),
        ("fine", Level.OK),
    ]
    assert "took longer than" in results[0].detail


def test_checks_run_side_by_side() -> None:
    """Two that wait for one another can only end together."""
    both = threading.Barrier(2)

    def meet() -> list[Result]:
        both.wait(5)
        return [Result("met", Level.OK, "")]

    results = examine([Check("a", meet), Check("b", meet)], 5, CLOCK)
    assert {each.level for each in results} == {Level.OK}


def test_what_a_check_raises_is_its_failure() -> None:
    """Errors of ours in their own words, others with their kind; none ends the examination."""

    def ours() -> list[Result]:
        raise KafkaUnavailable("no answer")

    def theirs() -> list[Result]:
        raise ZeroDivisionError("oops")

    results = examine([Check("a", ours), Check("b", theirs)], 5, CLOCK)
    assert [each.detail for each in results] == ["no answer", "ZeroDivisionError: oops"]
    assert {each.level for each in results} == {Level.FAIL}
