"""From the invitation to the first page, and back: real processes, real Kafka, a simulated Heap."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from consumers.segment_sync.run import apply_syncs
from devstack.heap_simulator import SyncOptions, running_simulator
from heapline.heap.signature import HEADER, header_of
from tests.command import COMMAND, clean_environment, heapline
from tests.fakes.connect_site import text_of
from tests.on_kafka import environment_for, make_topics, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World
    from heapline.settings import Settings

ENV = "3100100101"
SECONDS = 120.0


class Installation:
    """heapline as somebody runs it, with Heap before it.

    Attributes:
        heap: the simulator.
        url: of the server.
        settings: of everything behind it.
    """

    def __init__(self, world: World, prefix: str, heap: SimulatorClient, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.heap = heap
        self.settings: Settings = settings_for(world, prefix)
        make_topics(self.settings, partitions=2)
        app = heap.change_partner_app(
            redirect_uri=f"{self.url}/heap/callback", webhook_url=f"{self.url}/heap/webhook"
        )
        self._secret = app.webhook_secret.encode()
        self._folder = folder
        self._environment = {
            **environment_for(world, prefix),
            **app.environment(),
            "HEAPLINE_HEAP__API_URL": heap.url,
            "HEAPLINE_WEB__PORT": self.url.rpartition(":")[2],
        }

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the server, and wait until it is ready."""
        with (
            (self._folder / "log").open("wb") as log,
            subprocess.Popen(
                [*COMMAND, "serve", "--only", "webhook"],
                cwd=self._folder,
                env=clean_environment(self._environment),
                stdout=subprocess.DEVNULL,
                stderr=log,
            ) as process,
        ):
            try:
                self.eventually(lambda: httpx.get(f"{self.url}/readyz").status_code == 200)
                yield
            finally:
                process.kill()

    def log(self) -> str:
        """Give what the server logged."""
        return (self._folder / "log").read_text()

    def types(self, *arguments: str) -> Any:  # noqa: ANN401 -- any JSON
        """Run a command with --json that succeeds."""
        done = heapline(*arguments, "--json", folder=self._folder, settings=self._environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def applies_syncs(self) -> None:
        """Apply what pages there are."""
        apply_syncs(self.settings, lambda: False, until_caught_up=True)

    def calls(self, content: object) -> int:
        """Send a signed call of Heap's; give the status."""
        body = json.dumps(content).encode()
        signature = header_of(time.time_ns() // 1_000_000, body, self._secret)
        place = f"{self.url}/heap/webhook"
        return httpx.post(place, content=body, headers={HEADER: signature}).status_code

    @staticmethod
    def eventually(holds: Any) -> None:  # noqa: ANN401 -- a condition
        """Wait until a condition holds; a server that does not answer yet is no failure."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if holds():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def installation(world: World, prefix: str, tmp_path: Path) -> Iterator[Installation]:
    """One with a Heap of its own."""
    with running_simulator() as heap:
        yield Installation(world, prefix, heap, tmp_path)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Keeps cookies, and goes nowhere by itself."""
    with httpx.Client(timeout=30) as opened:
        yield opened


def connected(
    installation: Installation, browser: httpx.Client, link: str, env_id: str = ENV
) -> str:
    """Click through Heap's pages; give the address of the page after Allow."""
    opened = browser.get(link)
    assert opened.status_code == 303, opened.text
    back = browser.get(installation.heap.decide(opened.headers["location"], env_id=env_id))
    assert back.status_code == 303, text_of(back)
    return installation.url + back.headers["location"]


@pytest.mark.slow
def test_from_the_invitation_to_the_first_page_and_back(
    installation: Installation, browser: httpx.Client
) -> None:
    """Invited, connected, synced, shown, a page refused, offboarded; nothing secret logged."""
    link = installation.types("connections", "invite", "acme", "--region", "eu")["link"]
    assert link.startswith(f"{installation.url}/heap/connect?invitation=")
    with installation.serving():
        place = connected(installation, browser, link)
        assert "Nothing yet" in text_of(browser.get(place))
        assert browser.get(link).status_code == 404
        token = installation.heap.grants()[ENV]
        _sync(installation, ENV, "Free", ["u-1", "u-2", "u-3"])
        installation.eventually(lambda: "Free complete" in text_of(browser.get(place)))
        (row,) = installation.types("connections", "list")["connections"]
        assert (row["app_id"], row["region"], row["env_id"]) == (ENV, "eu", ENV)
        assert row["allowed_by"] == "admin@customer.example"
        assert token not in json.dumps(row)

        assert installation.calls(_unknown(token)) == 405
        installation.applies_syncs()
        (row,) = installation.types("connections", "list")["connections"]
        (aside,) = row["put_aside"]
        assert (aside["segment_id"], aside["reason"]) == ("7", "unknown_action")
        assert "turn the segment's toggle" in aside["repair"]
        installation.eventually(lambda: "Needs a repair" in text_of(browser.get(place)))

        _accepted(installation, ENV, "8", "Trial", ["u-4"])
        done = installation.types("connections", "offboard", "acme", "--yes")
        assert done == {"workspace": "acme", "removed": True, "drained": ["7", "8"]}
        installation.applies_syncs()
        installation.eventually(lambda: installation.calls(_unknown(token, "sync")) == 404)
        assert installation.types("connections", "list") == {"connections": []}
    log = installation.log()
    assert "workspace_connected" in log
    for secret in (token, link.partition("invitation=")[2], "simulated-client-secret"):
        assert secret not in log


@pytest.mark.slow
def test_moving_to_another_environment_drains_the_first(
    installation: Installation, browser: httpx.Client
) -> None:
    """Asked for first; the segments of before end empty, through the topic of pages."""
    heap = installation.heap
    link = installation.types("connections", "invite", "acme", "--region", "us")["link"]
    with installation.serving():
        connected(installation, browser, link)
        _sync(installation, ENV, "Free", ["u-1"])
        link = installation.types("connections", "invite", "acme")["link"]
        place = connected(installation, browser, f"{link}&move=yes", "3100100909")
        assert "1 segments of the earlier environment" in text_of(browser.get(place))
        installation.applies_syncs()
        installation.eventually(lambda: "Free drained" in text_of(browser.get(place)))
        heap.change_members(ENV, "7", add=["u-9"])
        options = SyncOptions(give_up_after_seconds=0)
        assert heap.sync(ENV, "7", options).by_status == {"404": 1}


def _sync(installation: Installation, env_id: str, name: str, users: list[str]) -> None:
    _accepted(installation, env_id, "7", name, users)
    installation.applies_syncs()


def _accepted(
    installation: Installation, env_id: str, segment: str, name: str, users: list[str]
) -> None:
    """Let Heap send a segment, which is not applied yet."""
    installation.heap.set_segment(env_id, segment, name=name)
    installation.heap.set_members(env_id, segment, users)
    assert installation.heap.sync(env_id, segment).delivered == 1


def _unknown(token: str, action: str = "grow") -> dict[str, Any]:
    data = {"segment": {"id": 7, "name": "Free"}, "add": [{"id": "u-7"}]}
    return {"id_token": token, "action_type": f"segment.users.{action}", "data": data}
