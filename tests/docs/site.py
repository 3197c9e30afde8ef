"""An installation as the documentation imagines it: acme is connected, and things have happened."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import orjson

from devstack.browser import allow
from devstack.demo.service import running_service
from devstack.heap_simulator import running_simulator
from devstack.heap_simulator.faults import Poison
from devstack.ports import a_free_port
from devstack.stack import Stack
from tests.command import ROOT, clean_environment
from tests.on_kafka import environment_for, make_topics, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from devstack.demo.service import Service
    from devstack.heap_simulator import SimulatorClient
    from devstack.world import World
    from tests.docs.snippets import Snippet

_SECONDS: Final = 60.0
_ENVIRONMENT: Final = "3100100101"
_REFUSED: Final = "refused_by_heap"
_EVENTS: Final = "".join(
    orjson.dumps(
        {"name": name, "user_id": user, "data": {"a": 1}, "event_id": name + user}
    ).decode()
    + "\n"
    for name, user in (
        ("nudge_shown", "u-1"),
        ("survey_response", "u-2"),
        (_REFUSED, "u-1"),
        (_REFUSED, "u-2"),
    )
)


class Site:
    """What the pages' snippets run against.

    Attributes:
        environment: settings of heapline, for commands.
        folder: where they run.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path, substitutes: Mapping[str, str]
    ) -> None:
        self.environment = dict(environment)
        self.folder = folder
        self._substitutes = dict(substitutes)
        _write_commands(folder / "bin")

    @property
    def path(self) -> str:
        """Where commands are found."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def adapted(self, text: str) -> str:
        """Put this installation's places where the documentation has its examples."""
        for written, there in self._substitutes.items():
            text = text.replace(written, there)
        return text

    def run_shell(self, snippets: Sequence[Snippet]) -> None:
        """Run blocks one after the other in one shell; each command must succeed.

        Raises:
            AssertionError: one did not; the message tells which, and what was said.
        """
        script = ["set -euo pipefail"]
        for each in snippets:
            script += [
                f"printf '\\n## %s\\n' {shlex.quote(str(each))} >&2",
                self.adapted(each.text),
            ]
        output = (self.folder / "output").open("w+b")
        with (
            output,
            subprocess.Popen(
                ["bash", "-c", "\n".join(script)],
                cwd=self.folder,
                env=clean_environment(self._shell_environment()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                code = process.wait(timeout=500)
            finally:
                _end_group(process.pid)
        said = (self.folder / "output").read_text("utf-8", "replace")
        assert code == 0, f"exit code {code}:\n{said[-3000:]}"

    def _shell_environment(self) -> dict[str, str]:
        return {**self.environment, "PATH": self.path, "HOME": str(self.folder)}

    def stop_world(self) -> None:
        """Stop the embedded world that a page started."""
        Stack(self.folder / "dev").down(delete_data=True)


@contextmanager
def running_site(world: World, prefix: str, folder: Path) -> Iterator[Site]:
    """Run all of heapline for acme: two events delivered, two dead-lettered, segments synced."""
    with running_simulator() as heap:
        settings = settings_for(world, prefix)
        make_topics(settings, partitions=3)
        environment = {
            **environment_for(world, prefix),
            "HEAPLINE_HEAP__API_URL": heap.url,
            **heap.partner_app().environment(),
            "HEAPLINE_STATE__DIRECTORY": str(folder / "state"),
            "HEAPLINE_MATERIALIZER__REPLICA_SECONDS": "0.5",
        }
        with running_service(environment, folder) as service:
            _let_things_happen(service, heap, folder)
            settings_of_others = {**service.environment, "HEAPLINE_INSTANCE_ID": f"{prefix}other"}
            yield Site(settings_of_others, folder, _substitutes(service, world, prefix, folder))


def bare_site(folder: Path) -> Site:
    """Give a machine on which nothing runs, for pages that begin with `heapline dev up`."""
    url = f"http://127.0.0.1:{a_free_port()}"
    environment = {
        "HEAPLINE_DEV__DATA": str(folder / "dev"),
        "HEAPLINE_STATE__DIRECTORY": str(folder / "state"),
        "HEAPLINE_WEB__PORT": url.rpartition(":")[2],
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),  # noqa: PTH111 -- as the shell sees it
    }
    return Site(environment, folder, {"http://127.0.0.1:8080": url})


def _let_things_happen(service: Service, heap: SimulatorClient, folder: Path) -> None:
    heap.change_partner_app(
        redirect_uri=f"{service.url}/heap/callback", webhook_url=f"{service.url}/heap/webhook"
    )
    heap.faults(Poison(event=_REFUSED))
    invited = service.command("connections", "invite", "acme", "--region", "us", "--json")
    allow(orjson.loads(invited)["link"], heap, _ENVIRONMENT)
    service.command("connections", "set", "acme", "--send", "on")
    events = folder / "site-events.ndjson"
    events.write_text(_EVENTS, "utf-8")
    for segment, name in (("7", "Free customers"), ("8", "Power users")):
        heap.set_segment(_ENVIRONMENT, segment, name=name)
        heap.set_members(_ENVIRONMENT, segment, ["u-1", "u-2", "jane@example.org"])
        sent = heap.sync(_ENVIRONMENT, segment)
        assert sent.delivered == sent.pages > 0
    service.command("publish", str(events), "--workspace", "acme")
    _wait(lambda: orjson.loads(service.command("dlq", "list", "--json"))["records"], 2)
    _wait(lambda: service.command("sql", "FROM membership", "--json"), 6)
    heap.clear_faults()


def _wait(found: Callable[[], object], count: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            rows = found()
            rows = orjson.loads(rows) if isinstance(rows, bytes) else rows
            if isinstance(rows, list) and len(rows) == count:
                return
        except Exception:  # noqa: BLE001 -- not there yet
            rows = None
        assert time.monotonic() < deadline, rows
        time.sleep(0.2)


def _substitutes(service: Service, world: World, prefix: str, folder: Path) -> dict[str, str]:
    return {
        "http://127.0.0.1:8080": service.url,
        "8090": str(a_free_port()),
        "/var/lib/heapline": str(folder / "state"),
        "/backups": str(folder),
        "kafka:9092": world.bootstrap_servers,
        '"http://registry:8081"': f'"{world.registry_url}", prefix="{prefix}"',
    }


def _write_commands(folder: Path) -> None:
    """Put `heapline` and `python` where a shell finds them, as an activated environment does."""
    folder.mkdir()
    command = "from cli.main import main; main()"
    for name, line in {
        "heapline": f'exec {shlex.quote(sys.executable)} -c "{command}" "$@"',
        "python": f'exec {shlex.quote(sys.executable)} "$@"',
    }.items():
        (folder / name).write_text(
            f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\n{line}\n"
        )
        (folder / name).chmod(0o755)


def _end_group(group: int) -> None:
    """End what a snippet left in the background."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)
