from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import typer

from cli.serve import parts_of
from heapline.events.model import Event
from heapline.kafka.codec import Decoder
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS
from tests.command import clean_environment
from tests.on_kafka import environment_for, make_topics, read_all, settings_for
from tests.small_index import write_index
from tests.web.lookup_site import EMOJI, LONG, MEMBERS, ROWS, path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devstack.world import World

COMMAND = (sys.executable, "-c", "from cli.main import main; main()", "serve")
EVENT = {"name": "nudge_shown", "user_id": "jane@example.org", "organization_key": "acme"}


@contextmanager
def served(
    environment: dict[str, str], *arguments: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `heapline serve` on a free port; give its address and the process."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(
                "heapline serves events, lookups, console on http://127.0.0.1:"
            ), line
            yield line.split()[-1], process
        finally:
            process.kill()


def wait_for(url: str, status: int, seconds: float = 90.0) -> httpx.Response:
    """Ask until it answers so."""
    deadline = time.monotonic() + seconds
    while True:
        response = httpx.get(url, timeout=10)
        if response.status_code == status:
            return response
        assert time.monotonic() < deadline, response.text
        time.sleep(0.2)


def test_parts() -> None:
    """A comma list; each part once."""
    assert parts_of("events") == ("events",)
    assert parts_of(" events, events,") == ("events",)


@pytest.mark.parametrize("text", ["", ",", "nothing", "events,nothing"])
def test_unknown_parts_are_refused(text: str) -> None:
    """The message lists what there is."""
    with pytest.raises(typer.BadParameter, match="there is: webhook, events"):
        parts_of(text)


@pytest.mark.slow
def test_events_reach_the_topic(world: World, prefix: str) -> None:
    """Over a real socket into the real Kafka; then an orderly end, and no personal data logged."""
    settings = settings_for(world, prefix)
    names = make_topics(settings)
    with served(environment_for(world, prefix)) as (url, process):
        wait_for(f"{url}/readyz", 200)
        events = [{**EVENT, "data": {"n": n}} for n in range(1_200)]
        response = httpx.post(f"{url}/v1/events", json=events, timeout=30)
        assert response.status_code == 200
        accepted = [each["event_id"] for each in response.json()["results"]]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0
    assert out == "stopping\n"
    assert "jane" not in err
    with Registry(settings.schema_registry) as schemas:
        decoder = Decoder("CommandAIEvent", schemas)
        messages = read_all(settings, names.topic(EVENTS))
        found = [Event.from_record(decoder.decode(each.value())) for each in messages]
    assert [each.event_id for each in found] == accepted
    assert {each.user_id for each in found} == {"jane@example.org"}
    assert len({each.partition() for each in messages}) == 1


@pytest.mark.slow
def test_broker_down_and_up_again(own_world: Callable[..., World], prefix: str) -> None:
    """While Kafka is gone: 503 with Retry-After, alive, not ready. Back again: all is well."""
    world = own_world(servers=("kafka", "registry"))
    make_topics(settings_for(world, prefix), 1)
    with served(environment_for_kafka(world, prefix)) as (url, _):
        wait_for(f"{url}/readyz", 200)
        world.kafka.kill()
        response = httpx.post(f"{url}/v1/events", json=EVENT, timeout=30)
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert "kafka" in wait_for(f"{url}/readyz", 503).json()["failing"]
        world.kafka.start()
        wait_for(f"{url}/readyz", 200)
        assert httpx.post(f"{url}/v1/events", json=EVENT, timeout=30).status_code == 200


@pytest.mark.slow
def test_registry_down_at_the_start_and_again_later(
    own_world: Callable[..., World], prefix: str
) -> None:
    """Not ready until the registry answered once; after that its absence stops nobody."""
    world = own_world(servers=("kafka", "registry"))
    make_topics(settings_for(world, prefix), 1)
    world.registry.kill()
    with served(environment_for_kafka(world, prefix)) as (url, _):
        assert wait_for(f"{url}/readyz", 503).json()["failing"] == ["events"]
        assert httpx.post(f"{url}/v1/events", json=EVENT, timeout=30).status_code == 503
        world.registry.start()
        wait_for(f"{url}/readyz", 200)
        world.registry.kill()
        assert httpx.post(f"{url}/v1/events", json=EVENT, timeout=30).status_code == 200


def test_lookups_alone_need_no_kafka(tmp_path: Path) -> None:
    """Not ready until there is an index, then answered over a real socket, kept open."""
    environment = {"HEAPLINE_STATE__DIRECTORY": str(tmp_path)}
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--only", "lookups"],
        env=clean_environment(environment),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("heapline serves lookups on http://127.0.0.1:"), line
            url = line.split()[-1]
            assert wait_for(f"{url}/readyz", 503).json()["failing"] == ["index"]
            write_index(tmp_path / "index", ROWS, MEMBERS)
            wait_for(f"{url}/readyz", 200)
            with httpx.Client(base_url=url, timeout=30) as client:
                member = client.get(path("acme", "segments", EMOJI, "members", EMOJI))
                assert member.json()["member"] is True
                tagged = client.get(
                    path("acme", "segments"), headers={"if-none-match": member.headers["etag"]}
                )
                assert (tagged.status_code, tagged.content) == (304, b"")
                long = {"pairs": [{"user": LONG, "segment": "7"}]}
                checked = client.post(path("acme", "memberships:check"), json=long)
                assert checked.json()["results"][0]["member"] is True
                assert client.get(path("acme", "users", "jane@example.org", "segments")).is_success
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0
            assert "jane" not in err
        finally:
            process.kill()


def environment_for_kafka(world: World, prefix: str) -> dict[str, str]:
    """Give settings for a world without the Heap simulator."""
    return {
        "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS": world.bootstrap_servers,
        "HEAPLINE_SCHEMA_REGISTRY__URL": world.registry_url,
        "HEAPLINE_KAFKA__PREFIX": prefix,
    }


def test_a_taken_port_is_told_in_words() -> None:
    """No traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [*COMMAND, "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 2
    assert "is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_hosts_need_tokens() -> None:
    """`--host 0.0.0.0` without tokens opens nothing and says what to set."""
    done = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0", "--port", "0"],  # noqa: S104 -- that it is refused
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "HEAPLINE_WEB__API_TOKENS" in done.stderr
