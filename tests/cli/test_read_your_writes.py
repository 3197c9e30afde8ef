"""From Heap's call to the lookup that sees it, over the real broker and one whole process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from heapline.heap.signature import HEADER, header_of
from heapline.kafka.registry import Registry
from heapline.words import Workspace
from producers.connections import ConnectionPatch, ConnectionRegistry
from tests.on_kafka import environment_for, make_topics, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.world import World

pytestmark = pytest.mark.slow

TOKEN: Final = "7a36ae58-c4b9-11eb-8529-0242ac130003"
SECRET: Final = "whsec_test_secret"
COMMAND: Final = (sys.executable, "-c", "from cli.main import main; main()", "run")


def page(number: int, **changes: list[str]) -> bytes:
    """Write Heap's call about segment 7, a sync of one page."""
    sync = {"page_number": 1, "total_pages": 1, "sync_task_id": f"sync-{number}"}
    data: dict[str, Any] = {"segment": {"id": 7, "name": "Free"}, "sync_info": sync}
    data |= {kind: [{"id": user} for user in users] for kind, users in changes.items()}
    call = {"id_token": TOKEN, "action_type": "segment.users.sync", "data": data}
    return json.dumps(call).encode()


def accepted(client: httpx.Client, body: bytes) -> str:
    """Call the webhook until it takes the page; give the position it answers."""
    deadline = time.monotonic() + 60
    while True:
        signature = header_of(time.time_ns() // 1_000_000, body, SECRET.encode())
        answer = client.post("/heap/webhook", content=body, headers={HEADER: signature})
        if answer.status_code == 200:
            return answer.headers["heapline-position"]
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)


def seen(client: httpx.Client, user: str, position: str) -> dict[str, Any]:
    """Ask about a user as of a position, again while it is not visible."""
    deadline = time.monotonic() + 60
    while True:
        address = f"/v1/workspaces/acme/segments/7/members/{user}"
        answer = client.get(address, headers={"heapline-at-least": position})
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text


def test_a_lookup_sees_the_page_it_names(world: World, prefix: str, tmp_path: Path) -> None:
    """Never an older answer: who entered is in, who left is out, page after page."""
    settings = settings_for(world, prefix)
    make_topics(settings, 1)
    with Registry(settings.schema_registry) as schemas:
        patch = ConnectionPatch(id_token=TOKEN)
        ConnectionRegistry(settings.kafka, schemas).set(Workspace("acme"), patch)
    environment = {
        **environment_for(world, prefix),
        "HEAPLINE_HEAP__WEBHOOK_SECRETS": json.dumps([SECRET]),
        "HEAPLINE_STATE__DIRECTORY": str(tmp_path / "state"),
        "HEAPLINE_WEB__PORT": "0",
    }
    with subprocess.Popen(
        COMMAND,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            with httpx.Client(base_url=found[0], timeout=60) as client:
                for number in range(5):
                    position = accepted(client, page(number, add=["ann", f"u{number}"], remove=[]))
                    assert seen(client, f"u{number}", position)["member"] is True
                    position = accepted(client, page(-number - 1, add=[], remove=[f"u{number}"]))
                    assert seen(client, f"u{number}", position)["member"] is False
                ann = seen(client, "ann", position)
                assert ann["member"] is True
                assert ann["segment"]["member_count"] == 1
                assert ann["segment"]["name"] == "Free"
        finally:
            process.kill()
