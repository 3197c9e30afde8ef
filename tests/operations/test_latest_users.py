"""User ids of a workspace's latest events, on the real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heapline.errors import NotReady
from heapline.events import EventPublisher
from heapline.kafka.topics import EVENTS, Names
from heapline.words import Workspace
from operations.latest_users import latest_users
from tests.on_kafka import make_topics, settings_for, write

if TYPE_CHECKING:
    from devstack.world import World


def test_the_latest_users_come_first(world: World, prefix: str) -> None:
    """Each once, anonymous ones not, of this workspace alone, and past what cannot be read."""
    settings = settings_for(world, prefix)
    names = make_topics(settings, partitions=1)
    with EventPublisher(world.bootstrap_servers, world.registry_url, prefix=prefix) as publisher:
        for workspace, user in (
            ("acme", "ann"),
            ("acme", "ben"),
            ("acme", "chloe"),
            ("acme", "ben"),
            ("acme", None),
            ("shop", "dora"),
            ("acme", "emil"),
        ):
            publisher.publish({"name": "opened", "data": {}, "user_id": user}, workspace)
    write(settings, names.topic(EVENTS), [{"key": b"acme", "value": b"no event"}])
    assert latest_users(settings, names, Workspace("acme")) == ("emil", "ben", "chloe")
    assert latest_users(settings, names, Workspace("shop")) == ("dora",)
    assert latest_users(settings, names, Workspace("none")) == ()


def test_without_the_topic(world: World, prefix: str) -> None:
    """It says what to do."""
    with pytest.raises(NotReady, match="topics apply"):
        latest_users(settings_for(world, prefix), Names(prefix), Workspace("acme"))
