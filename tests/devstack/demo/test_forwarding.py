"""Tests of how the demo runs the forwarder; what it does itself is tested with the forwarder."""

from __future__ import annotations

import pytest

from devstack.demo.forwarding import forward_all
from devstack.demo.place import Place
from heapline.clock import SystemClock
from heapline.errors import KafkaUnavailable
from heapline.settings import KafkaSettings


def test_what_stops_the_forwarder_is_told_where_somebody_waits() -> None:
    """An error of the forwarder's thread is the demo's error, not a silent success."""
    nowhere = Place("127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1").settings()
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", timeout_seconds=0.6)
    looks: list[int] = []
    with pytest.raises(KafkaUnavailable):
        forward_all(
            nowhere.model_copy(update={"kafka": kafka}), SystemClock(), lambda: looks.append(1)
        )
    assert looks, "nobody looked while it ran"
