"""A full forwarder reads nothing; what librdkafka fetched ahead is kept for a moment."""

from __future__ import annotations

from contextlib import closing

from consumers.forwarder.kafka_source import KafkaSource
from heapline.kafka.topics import Names
from heapline.settings import KafkaSettings
from tests.fakes.clock import FakeClock

_WAIT: float = 0.01


def test_for_a_moment_a_full_forwarder_waits_without_asking_kafka() -> None:
    """Then it polls again, with its partitions paused; once there is room it polls at once."""
    clock = FakeClock()
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with closing(KafkaSource(settings, Names("test-"), clock)) as source:
        source.pause(paused=True)
        assert not source.read(_WAIT, {}, 1).events()
        assert clock.seconds == _WAIT, "it waits by the clock"
        clock.sleep(2.0)
        source.pause(paused=True)
        source.read(_WAIT, {}, 1)
        assert clock.seconds == _WAIT + 2.0, "it waits in the poll"
        source.pause(paused=False)
        source.read(_WAIT, {}, 1)
        assert clock.seconds == _WAIT + 2.0
