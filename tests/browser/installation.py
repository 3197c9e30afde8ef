"""All of heapline as somebody runs it, with a Heap before it, for tests through a browser."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from devstack.demo.place import Place
from devstack.demo.service import running_service
from heapline.events import EventPublisher
from heapline.words import Workspace
from tests.on_kafka import make_topics

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Page

    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World

OPERATOR: Final = "operate-token-0001"
READER: Final = "reading-token-0001"
TOKENS: Final = [
    {"name": "ops", "token": OPERATOR, "role": "operate"},
    {"name": "eyes", "token": READER, "role": "read"},
]


class Installation:
    """A running `heapline run`.

    Attributes:
        url: of its console.
        heap: the simulator it talks to.
        workspace: the one that tests connect.
    """

    def __init__(self, url: str, place: Place, heap: SimulatorClient) -> None:
        self.url = url
        self.heap = heap
        self.workspace = Workspace("acme")
        self._place = place

    def publish(self, payloads: Iterable[Mapping[str, object]]) -> None:
        """Publish events of the workspace as a service would."""
        with EventPublisher(
            self._place.bootstrap_servers, self._place.registry_url, prefix=self._place.prefix
        ) as publisher:
            for each in payloads:
                publisher.publish(each, self.workspace)

    def open(self, page: Page, path: str) -> None:
        """Load a page of the console."""
        answer = page.goto(self.url + path)
        assert answer is not None
        assert answer.ok, answer.text()

    def sign_in(self, page: Page, token: str) -> None:
        """Type a token, and come to the first page."""
        self.open(page, "/")
        page.get_by_label("API token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Integrations").wait_for()


@contextmanager
def installed(
    world: World, prefix: str, heap: SimulatorClient, folder: Path
) -> Iterator[Installation]:
    """Run all roles on a world, with topics of their own, until the block ends."""
    place = Place(world.bootstrap_servers, world.registry_url, heap.url, prefix)
    make_topics(place.settings(), partitions=2)
    settings = {
        **place.environment(),
        **heap.partner_app().environment(),
        "HEAPLINE_STATE__DIRECTORY": str(folder / "state"),
        "HEAPLINE_WEB__API_TOKENS": json.dumps(TOKENS),
    }
    with running_service(settings, folder) as service:
        heap.change_partner_app(
            redirect_uri=f"{service.url}/heap/callback", webhook_url=f"{service.url}/heap/webhook"
        )
        yield Installation(service.url, place, heap)


def eventually(page: Page, path: str, text: str | re.Pattern[str]) -> None:
    """Wait until a page, loaded again and again as a person would, says something."""
    for _ in range(60):
        page.goto(path.partition("#")[0])
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{path} never said {text!r}: {page.inner_text('main')}")
