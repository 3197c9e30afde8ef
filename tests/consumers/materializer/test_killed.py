"""A materializer killed at random moments: verify is clean, and all sources agree."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from heapline.clock import SystemClock
from heapline.kafka import topics
from state.folder import StateFolder
from state.verify import verify_folder
from tests.chaos.processes import HEAPLINE, Mortal
from tests.command import heapline
from tests.consumers.materializer.looking import by_index, by_store
from tests.consumers.materializer.replay import replay
from tests.consumers.materializer.writing import Page, PageWriter
from tests.on_kafka import environment_for, make_topics, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KILLS = 4
USERS = 4_000


def page(chance: Random) -> Page:
    """Give a page of one of a few segments of two workspaces, with users coming and going."""
    users = [f"user-{chance.randrange(USERS)}" for _ in range(chance.randrange(1, 800))]
    cut = chance.randrange(len(users))
    return Page(
        workspace=chance.choice(("acme", "globex")),
        segment=f"s{chance.randrange(4)}",
        add=sorted(set(users[:cut]) - set(users[cut:])),
        remove=sorted(set(users[cut:])),
        sync=f"sync-{chance.randrange(10**6)}",
    )


def test_killed_at_random_moments(world: World, prefix: str, tmp_path: Path) -> None:
    """After each kill -9 the next one goes on; in the end nothing is lost, doubled or half."""
    chance = Random(prefix)
    settings, state = settings_for(world, prefix), tmp_path / "state"
    pages = PageWriter(settings, make_topics(settings, 2), 2)
    environment = environment_for(world, prefix) | {
        "HEAPLINE_STATE__DIRECTORY": str(state),
        "HEAPLINE_MATERIALIZER__PAYLOAD_CHANGES": "500",
        "HEAPLINE_MATERIALIZER__REPLICA_SECONDS": "0.1",
        "HEAPLINE_MATERIALIZER__CHECKPOINT_SECONDS": "0.1",
        "HEAPLINE_LOG__FORMAT": "json",
    }
    mortal = Mortal("materialize", [*HEAPLINE, "materialize"], environment, tmp_path)
    mortal.start()
    try:
        for _ in range(KILLS):
            deadline = time.monotonic() + 1.0 + 2.0 * chance.random()
            while time.monotonic() < deadline:
                pages.write(*(page(chance) for _ in range(chance.randrange(1, 4))))
            mortal.kill()
            mortal.start()
    finally:
        mortal.end()
    done = heapline(
        "materialize",
        "--until-caught-up",
        folder=tmp_path,
        settings=environment,
        timeout_seconds=180,
    )
    assert done.returncode == 0, done.stderr
    verdict = verify_folder(StateFolder(state), SystemClock())
    assert verdict.problems == []
    topic = pages.names.topic(topics.MEMBERSHIPS)
    truth = replay(settings.kafka.bootstrap_servers, topic)
    assert truth == {name: users for name, users in pages.members.items() if users}
    assert by_index(state) == truth
    assert by_store(state) == truth
