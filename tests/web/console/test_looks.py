"""Looks: no page waits for what takes long."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from heapline.errors import KafkaUnavailable
from tests.fakes.clock import FakeClock
from web.console.looks import Look, Looks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test that awaits."""
    asyncio.run(asyncio.wait_for(test(), 60))


def test_what_is_quick_comes_at_once_and_is_remembered() -> None:
    """The second page asks nobody."""
    asked: list[int] = []

    async def test() -> None:
        clock = FakeClock()
        looks = Looks(clock, patience_seconds=30)

        def ask() -> int:
            asked.append(1)
            return 7

        assert await looks.at("key", ask, 5.0) == Look(7)
        clock.seconds = 4.9
        assert await looks.at("key", ask, 5.0) == Look(7, age_seconds=4.9)
        assert len(asked) == 1
        clock.seconds = 5.0
        await looks.at("key", ask, 5.0)
        assert len(asked) == 2

    run(test)


def test_what_is_slow_keeps_no_page() -> None:
    """First it is pending, then the older is given while a newer is looked up."""

    async def test() -> None:
        clock, going_on = FakeClock(), threading.Event()
        looks = Looks(clock, patience_seconds=0.001)

        def ask() -> str:
            assert going_on.wait(30)
            return "new"

        assert (await looks.at("key", ask, 5.0)).pending
        assert (await looks.at("key", ask, 5.0)).pending
        going_on.set()
        await looks.close()
        assert (await looks.at("key", ask, 5.0)).value == "new"
        going_on.clear()
        clock.seconds = 60.0
        assert await looks.at("key", lambda: "newest", 100.0) == Look("new", age_seconds=60.0)
        assert (await looks.at("key", ask, 5.0)).value == "new"
        going_on.set()
        await looks.close()

    run(test)


def test_an_error_is_told_and_looked_at_again() -> None:
    """It is no page's end."""

    def fail() -> int:
        raise KafkaUnavailable("the brokers are away")

    async def test() -> None:
        clock = FakeClock()
        looks = Looks(clock, patience_seconds=30)
        look = await looks.at("key", fail, 5.0)
        assert (look.missing, look.pending) == ("the brokers are away", False)
        clock.seconds = 6.0
        assert (await looks.at("key", lambda: 1, 5.0)).value == 1

    run(test)


def test_a_change_is_waited_for() -> None:
    """What was under way before it may be too early, so it is asked once more."""

    async def test() -> None:
        looks = Looks(FakeClock(), patience_seconds=0.001)
        begun, going_on = threading.Event(), threading.Event()

        def early() -> str:
            begun.set()
            assert going_on.wait(30)
            return "before"

        assert (await looks.at("key", early, 5.0)).pending
        assert await asyncio.to_thread(begun.wait, 30)
        going_on.set()
        await looks.renew("key", lambda: "after")
        assert (await looks.at("key", early, 5.0)).value == "after"

    run(test)


def test_memory_is_bounded() -> None:
    """The oldest is forgotten first."""

    async def test() -> None:
        looks = Looks(FakeClock(), patience_seconds=30)
        for number in range(1_001):
            await looks.at(number, lambda number=number: number, 5.0)  # type: ignore[misc]
        assert (await looks.at(1_000, lambda: -1, 5.0)).value == 1_000
        assert (await looks.at(0, lambda: -1, 5.0)).value == -1

    run(test)
