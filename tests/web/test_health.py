from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from heapline.errors import KafkaUnavailable, NotReady
from heapline.kafka.topics import Names
from tests.on_kafka import make_topics, settings_for
from web.health import REMEMBERED_SECONDS, KafkaCheck, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.world import World
    from tests.web.conftest import Site


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.now

    def epoch_ms(self) -> int:
        """See `Clock.epoch_ms`."""
        return int(self.now * 1000)

    def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.now += seconds


class FakeCheck:
    """A check that fails while told to."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.asked = 0

    async def ask(self) -> None:
        """See `Check.ask`."""
        self.asked += 1
        if self.problem is not None:
            raise self.problem


def test_ready_means_that_every_check_passes() -> None:
    """All are asked, and each failure is told with its reason."""
    checks = {
        "a": FakeCheck(),
        "b": FakeCheck(KafkaUnavailable("gone")),
        "c": FakeCheck(NotReady("missing")),
    }
    assert asyncio.run(Readiness(checks).failing()) == {"b": "gone", "c": "missing"}


def test_answers_are_remembered_for_a_moment() -> None:
    """Many probes ask the brokers once; a change is seen soon."""
    check, clock = FakeCheck(), FakeClock()

    async def probes() -> None:
        readiness = Readiness({"a": check}, clock)
        await asyncio.gather(*(readiness.failing() for _ in range(10)))
        assert check.asked == 1
        check.problem = KafkaUnavailable("gone")
        assert await readiness.failing() == {}
        clock.now += REMEMBERED_SECONDS
        assert await readiness.failing() == {"a": "gone"}
        assert check.asked == 2

    asyncio.run(probes())


def test_alive_but_not_ready(closed: Site) -> None:
    """A process without its topic lives; the probe says which command is missing."""
    closed.start(wait=False)
    closed.until(lambda: "starting" not in str(closed.problem()))
    assert closed.ask("GET", "/healthz").json() == {"status": "ok"}
    response = closed.ask("GET", "/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    assert "heapline topics apply" in response.json()["detail"]
    assert response.json()["failing"] == ["events"]


def test_ready(site: Site) -> None:
    """With topic and schema found."""
    assert site.ask("GET", "/readyz").json() == {"status": "ready"}


def test_metrics_count_events(site: Site) -> None:
    """Accepted and rejected events, in Prometheus' text format."""

    def counted(result: str) -> float:
        text = site.ask("GET", "/metrics").text
        name = f'heapline_events_published_total{{result="{result}"}} '
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    before = counted("accepted"), counted("rejected"), counted("not_acknowledged")
    site.post([{"name": "x", "organization_key": "a"}, {"name": ""}])
    site.kafka.failures.append(KafkaUnavailable("gone"))
    site.post({"name": "x", "organization_key": "a"})
    after = counted("accepted"), counted("rejected"), counted("not_acknowledged")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
    kind = site.ask("GET", "/metrics").headers["content-type"]
    assert kind.startswith("text/plain")


@pytest.mark.slow
def test_kafka_is_asked_for_the_topic(own_world: Callable[..., World], prefix: str) -> None:
    """Missing topic, then ready, then brokers gone: each told apart."""
    world = own_world(servers=("kafka", "registry"))
    settings = settings_for(world, prefix)
    check = KafkaCheck(settings.kafka, Names(prefix))

    async def reason() -> str:
        return (await Readiness({"kafka": check}).failing()).get("kafka", "")

    assert "heapline topics apply" in asyncio.run(reason())
    make_topics(settings)
    assert asyncio.run(reason()) == ""
    world.kafka.kill()
    assert asyncio.run(reason()) != ""
