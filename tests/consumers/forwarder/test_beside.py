"""What is done beside something else."""

from __future__ import annotations

from threading import Event

import pytest

from consumers.forwarder.beside import Beside


def test_it_is_done_meanwhile() -> None:
    """The task runs before its result is asked for, and gives it."""
    ran = Event()

    def task() -> int:
        ran.set()
        return 7

    beside = Beside(task, "test")
    assert ran.wait(30)
    assert beside.result() == 7
    assert beside.result() == 7


def test_a_failure_is_raised_where_the_result_is_asked_for() -> None:
    """What the task raises comes with the result, as itself; waiting raises nothing."""

    def task() -> int:
        raise KeyError("gone")

    beside = Beside(task, "test")
    beside.wait()
    with pytest.raises(KeyError, match="gone"):
        beside.result()
