"""`heapline run` takes events and delivers them, and ends as one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from devstack.heap_simulator import Limits, SimulatorSettings, running_simulator
from heapline.http import HttpxClient
from tests.forwarding.harness import Forwarding, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World
    from heapline.http import Answer

pytestmark = pytest.mark.slow


@pytest.fixture
def forwarding(world: World, prefix: str) -> Iterator[Forwarding]:
    """Give topics, schemas and a simulator without limits."""
    limits = Limits(events_per_minute_per_app=10**9, events_per_minute_per_identity=10**9)
    with running_simulator(SimulatorSettings(limits=limits)) as heap:
        yield Forwarding(world, prefix, heap)


def _start(forwarding: Forwarding, state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", "run"],
        env=forwarding.environment(HEAPLINE_WEB__PORT="0", HEAPLINE_STATE__DIRECTORY=str(state)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _post(url: str, body: str) -> str:
    """Post an event, again while the server is not ready; give its id."""
    answers: list[Answer] = []

    def accepted() -> bool:
        headers = {"Content-Type": "application/json"}
        answers.append(client.request("POST", url, body=body.encode(), headers=headers))
        return answers[-1].status == 200

    with closing(HttpxClient()) as client:
        wait_until(accepted)
    event_id: str = json.loads(answers[-1].body)["results"][0]["event_id"]
    return event_id


def test_an_event_posted_is_delivered(forwarding: Forwarding, tmp_path: Path) -> None:
    """One process takes an event over HTTP, delivers it, and ends with 0 when asked to."""
    forwarding.connect("acme", "11")
    process = _start(forwarding, tmp_path / "state")
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        body = json.dumps(
            {"name": "nudge_shown", "data": {"a": 1}, "user_id": "ann", "workspace": "acme"}
        )
        event_id = _post(f"{found[0]}/v1/events", body)
        wait_until(lambda: forwarding.heap.keys("11") == [event_id])
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    finally:
        process.kill()
        process.communicate()


def test_a_forwarder_that_cannot_start_ends_the_process(
    forwarding: Forwarding, tmp_path: Path
) -> None:
    """Without topics the process says what to do and ends with 1, server and all."""
    environment = forwarding.environment(
        HEAPLINE_WEB__PORT="0",
        HEAPLINE_KAFKA__PREFIX="none-",
        HEAPLINE_STATE__DIRECTORY=str(tmp_path / "state"),
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "run"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "heapline topics apply" in done.stderr
    assert time.monotonic() - started < 100
