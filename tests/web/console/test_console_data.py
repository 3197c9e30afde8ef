"""What every `ConsoleData` does: the one in memory, and the one on the real broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from heapline.errors import CallerMistake
from heapline.heap.connection import Region, Send
from heapline.settings import StateSettings
from heapline.words import AppId, SegmentId, Workspace
from operations.dlq import Filter, Position
from producers.connections import ConnectionPatch
from tests.fakes.console_data import FakeConsoleData
from tests.on_kafka import make_topics, settings_for
from web.console.kafka_data import KafkaConsoleData
from web.open_index import OpenIndex

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from devstack.world import World
    from web.console.data import ConsoleData
    from web.console.looks import Look

_T = TypeVar("_T")
ACME = Workspace("acme")
_PATCH = ConnectionPatch(app_id=AppId("11"), region=Region.US, send=Send.ON)


class Make(Protocol):
    """Makes console data over nothing."""

    def __call__(self) -> ConsoleData:
        """Make it."""
        ...


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> Make:
    """Both of them."""
    if request.param == "fake":
        return FakeConsoleData
    world: World = request.getfixturevalue("world")
    settings = settings_for(world, prefix).model_copy(
        update={"state": StateSettings(directory=tmp_path)}
    )
    make_topics(settings)
    return lambda: KafkaConsoleData(settings, OpenIndex(tmp_path / "index"))


def run(made: Make, test: Callable[[ConsoleData], Awaitable[None]]) -> None:
    """Run a test that awaits, with data that is running."""

    async def running() -> None:
        data = made()
        async with data.running():
            await asyncio.wait_for(test(data), 120)

    asyncio.run(running())


def test_a_change_shows_at_once(made: Make) -> None:
    """Nobody is led to a page that still shows what was before."""

    async def test(data: ConsoleData) -> None:
        assert ACME not in await data.connections()
        await data.change(ACME, _PATCH)
        assert (await data.connections())[ACME].send is Send.ON
        await data.change(ACME, ConnectionPatch(exclude=("opened",)))
        row = (await data.connections())[ACME]
        assert (row.exclude, row.app_id) == (("opened",), AppId("11"))
        await data.try_now(ACME)
        assert (await data.connections())[ACME].app_id == AppId("11")

    run(made, test)


def test_a_mistake_is_refused(made: Make) -> None:
    """And nothing is changed."""

    async def test(data: ConsoleData) -> None:
        with pytest.raises(CallerMistake, match="region"):
            await data.change(ACME, ConnectionPatch(app_id=AppId("11")))
        assert ACME not in await data.connections()

    run(made, test)


def test_disconnecting(made: Make) -> None:
    """The workspace is gone at once; a second time there is nothing to remove."""

    async def test(data: ConsoleData) -> None:
        await data.change(ACME, _PATCH)
        assert not await data.disconnect(ACME)
        assert ACME not in await data.connections()
        with pytest.raises(CallerMistake):
            await data.disconnect(ACME)

    run(made, test)


def test_where_nothing_ever_was(made: Make) -> None:
    """Every look ends, and says what it found or why it found nothing."""

    async def test(data: ConsoleData) -> None:
        assert not await _known(lambda: data.latest_users(ACME))
        assert not await _known(lambda: data.segments(ACME))
        assert not await _known(lambda: data.dead_letters(ACME))
        status = await _known(data.delivery)
        assert status is not None
        assert status.workspaces == []
        assert not await _known(lambda: data.outcomes(ACME))
        assert not await _known(lambda: data.history(ACME, SegmentId("7")))
        look = await data.dead_letter(Position(0, 5))
        while look.pending:
            await asyncio.sleep(0.05)
            look = await data.dead_letter(Position(0, 5))
        assert "no record at 0/5" in look.missing
        done = await data.replay(Filter(workspace="acme"), force=False)
        assert (done.sent, done.gone) == (0, ())

    run(made, test)


async def _known(ask: Callable[[], Awaitable[Look[_T]]]) -> _T | None:
    """Ask again until it is known; nothing where it cannot be."""
    look = await ask()
    while look.pending:
        await asyncio.sleep(0.05)
        look = await ask()
    return look.value
