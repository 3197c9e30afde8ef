"""Running checks side by side, each under a deadline of its own, in the order they need."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heapline.clock import Deadline
from heapline.errors import HeaplineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heapline.clock import Clock


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing a check has to say.

    Attributes:
        check: the check's name.
        detail: what was found, one line.
        fix: what to do about it; empty where there is nothing to do.
    """

    check: str
    level: Level
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        run: gives the results; may take its time, and may raise what heapline raises.
        needs: checks that must not have failed, or this one is not even tried.
        after: checks whose end it waits for, however they came out.
    """

    name: str
    run: Callable[[], Iterable[Result]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def next_checks(checks: Sequence[Check], done: Mapping[str, Sequence[Result]]) -> list[Check]:
    """Give the checks that can run now: what they need or wait for is done."""
    return [
        check
        for check in checks
        if check.name not in done and done.keys() >= {*check.needs, *check.after}
    ]


def missing_need(check: Check, done: Mapping[str, Sequence[Result]]) -> str | None:
    """Give the first need that did not come out well, or None."""
    bad = {Level.FAIL, Level.SKIPPED}
    return next((need for need in check.needs if bad & {each.level for each in done[need]}), None)


def examine(checks: Sequence[Check], deadline_seconds: float, clock: Clock) -> tuple[Result, ...]:
    """Run all checks, side by side where they can; never raises.

    Args:
        checks: in the order in which to tell about them; no circle among their needs.
        deadline_seconds: how long each may take before it counts as failed.
        clock: for the deadline.
    """
    done: dict[str, Sequence[Result]] = {}
    while wave := next_checks(checks, done):
        running = {}
        for check in wave:
            need = missing_need(check, done)
            if need is None:
                running[check.name] = _start(check)
            else:
                detail = f"not checked, because {need} is not in order"
                done[check.name] = [Result(check.name, Level.SKIPPED, detail)]
        deadline = Deadline(clock, deadline_seconds)
        for name, answer in running.items():
            done[name] = _await(name, answer, deadline, deadline_seconds)
    return tuple(result for check in checks for result in done[check.name])


_Answer = queue.SimpleQueue[list[Result]]


def _start(check: Check) -> _Answer:
    answer: _Answer = queue.SimpleQueue()
    # A daemon: one that hangs must not keep the process from ending.
    threading.Thread(target=lambda: answer.put(_run(check)), name=check.name, daemon=True).start()
    return answer


def _run(check: Check) -> list[Result]:
    try:
        return list(check.run())
    except HeaplineError as error:
        return [Result(check.name, Level.FAIL, str(error))]
    except Exception as error:  # noqa: BLE001 -- one broken check must not hide the others
        return [Result(check.name, Level.FAIL, f"{type(error).__name__}: {error}")]


def _await(name: str, answer: _Answer, deadline: Deadline, seconds: float) -> list[Result]:
    try:
        return answer.get(timeout=deadline.left())
    except queue.Empty:
        return [Result(name, Level.FAIL, f"took longer than {seconds:.0f} s, and was given up")]
